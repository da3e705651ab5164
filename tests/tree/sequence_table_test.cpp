// Ids, links and limits of a few sequences.
#include <memory_resource>
#include <string>
#include <vector>

#include <anabranch/tree/sequence_table.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

using Table = SequenceTable<Positions>;

std::vector<SequenceIndex> children(const Table& table, SequenceIndex parent) {
  std::vector<SequenceIndex> result;
  for (SequenceIndex c = table[parent].first_child; c != kNoIndex; c = table[c].next_sibling) result.push_back(c);
  return result;
}

template <class Call>
Status status_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.status();
  }
  return Status::ok;
}

}  // namespace

TEST_CASE("a cell that is used again refuses the id of the sequence before") {
  Table table({.first_generation = 7}, std::pmr::get_default_resource());
  const SequenceIndex cell = table.create();
  const SequenceId before = table.id(cell);
  CHECK(before == SequenceId{0, 7});
  CHECK(table.find(before) == cell);
  table.end(cell, kNoIndex, false);
  CHECK_FALSE(table.alive(before));
  table.free(cell);
  CHECK(table.create() == cell);
  CHECK(table.id(cell) == SequenceId{0, 8});
  CHECK(status_of([&] { table.find(before); }) == Status::stale_sequence);
  CHECK(status_of([&] { table.find({5, 0}); }) == Status::stale_sequence);
  CHECK(table.id(kNoIndex) == kNoSequence);
  CHECK_FALSE(table.alive(kNoSequence));
}

TEST_CASE("children keep the order of their forks when one of them leaves") {
  Table table({}, std::pmr::get_default_resource());
  const SequenceIndex parent = table.create();
  std::vector<SequenceIndex> kids;
  for (int k = 0; k < 4; ++k) {
    kids.push_back(table.create());
    table.link_child(parent, kids.back());
  }
  table.unlink_child(kids[1]);
  CHECK(children(table, parent) == std::vector{kids[0], kids[2], kids[3]});
  CHECK(table[kids[1]].parent == kNoIndex);
  table.unlink_child(kids[3]);
  table.unlink_child(kids[0]);
  CHECK(children(table, parent) == std::vector{kids[2]});
  CHECK(table[parent].last_child == kids[2]);
  table.unlink_child(kids[2]);
  CHECK(children(table, parent).empty());
  CHECK(table[parent].last_child == kNoIndex);
  CHECK(status_of([&] { table.check_child(parent, table.id(kids[0]), "join"); }) == Status::not_a_child);
}

TEST_CASE("the pages of a sequence that ended go to the nearest one above that is alive") {
  Table table({}, std::pmr::get_default_resource());
  const SequenceIndex root = table.create(), child = table.create(), grandchild = table.create();
  table.link_child(root, child);
  table.link_child(child, grandchild);
  CHECK(table.tail_recipient(grandchild) == grandchild);
  CHECK(table.above(grandchild) == child);
  table.end(grandchild, child, false);
  table.end(child, root, false);
  CHECK(table.above(grandchild) == child);
  CHECK(table.tail_recipient(grandchild) == root);
  CHECK(table.n_alive() == 1);
  table.end(root, kNoIndex, false);
  CHECK(table.tail_recipient(grandchild) == kNoIndex);
}

TEST_CASE("sequences beyond the limits are refused") {
  Table table({.max_sequences = 3, .max_depth = 1}, std::pmr::get_default_resource());
  const SequenceIndex root = table.create(), child = table.create();
  table.link_child(root, child);
  CHECK(status_of([&] { table.check_limits(root, 1); }) == Status::ok);
  CHECK(status_of([&] { table.check_limits(root, 2); }) == Status::limit_reached);
  CHECK(status_of([&] { table.check_limits(child, 1); }) == Status::limit_reached);
}
