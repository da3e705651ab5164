// The plan in other hosts' terms.
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/mask/dense_mask.hpp>
#include <anabranch/plan/paged_export.hpp>

#include "catch.hpp"

namespace ab = anabranch;

namespace {

template <class Columns>
std::vector<std::vector<int>> mask_of(const ab::StepPlan& plan, const Columns& columns, std::int32_t n_columns) {
  std::vector<int> flat(static_cast<std::size_t>(plan.n_rows() * n_columns));
  ab::dense_mask(plan.groups, plan.views, plan.n_rows(), columns, n_columns, std::span<int>(flat), 1, 0);
  std::vector<std::vector<int>> rows;
  for (std::int32_t r = 0; r < plan.n_rows(); ++r)
    rows.emplace_back(flat.begin() + r * n_columns, flat.begin() + (r + 1) * n_columns);
  return rows;
}

using Rows = std::vector<std::vector<int>>;
using Ints = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("a dense mask has the same content in all three column orders") {
  ab::KvCache cache({.n_pages = 4, .page_size = 2});
  const ab::SequenceId sequence = cache.create_sequence();
  ab::ColumnsByArrival arrival;
  auto step = cache.begin_step();
  step.append(sequence, {1, 2});
  const auto kids = step.fork(sequence, 2);
  step.append(kids[0], {3});
  step.append(kids[1], {4});
  const auto plan = step.plan();
  arrival.add(plan->slots);
  const Rows by_arrival = mask_of(*plan, arrival, arrival.size());
  CHECK(by_arrival == Rows{{1, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 0}, {1, 1, 0, 1}});
  const Rows by_slot = mask_of(*plan, ab::ColumnsBySlot{}, cache.n_slots());
  std::vector<std::int32_t> map(static_cast<std::size_t>(cache.n_slots()), ab::kNone);
  for (std::int32_t c = 0; c < 4; ++c) map[static_cast<std::size_t>(plan->slots[static_cast<std::size_t>(c)])] = 3 - c;
  const Rows by_map = mask_of(*plan, ab::ColumnsByMap{map}, 4);
  for (std::size_t r = 0; r < 4; ++r)
    for (std::size_t c = 0; c < 4; ++c) {
      CHECK(by_slot[r][static_cast<std::size_t>(plan->slots[c])] == by_arrival[r][c]);
      CHECK(by_map[r][3 - c] == by_arrival[r][c]);
    }
}

TEST_CASE("an aborted pass leaves the arrival order as it was") {
  ab::ColumnsByArrival arrival;
  arrival.add(Ints{5, 6});
  arrival.add(Ints{6, 9});
  CHECK(arrival.column(6) == 2);
  arrival.remove_last();
  CHECK(arrival.size() == 2);
  CHECK(arrival.column(6) == 1);
  CHECK(arrival.column(9) == ab::kNone);
}

TEST_CASE("a dense mask refuses a wrong size and a seen slot without a column") {
  ab::KvCache cache({.n_pages = 4, .page_size = 2});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1, 2});
  const auto plan = step.plan();
  std::vector<int> out(3);
  const auto make = [&](std::int32_t n_columns) {
    ab::dense_mask(plan->groups, plan->views, 2, ab::ColumnsBySlot{}, n_columns, std::span<int>(out), 1, 0);
  };
  CHECK_THROWS_AS(make(4), ab::Error);
  out.resize(2);
  CHECK_THROWS_AS(make(1), ab::Error);
}

TEST_CASE("slot lists say per level which rows see which slots") {
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1});
  const auto kids = step.fork(sequence, 2);
  step.append(kids[0], {1, 2});
  step.append(kids[1], {3});
  const auto plan = step.plan();
  const auto levels = ab::slot_lists(*plan);
  REQUIRE(levels.size() == 3);
  CHECK(levels[0].row_indptr == Ints{0, 4});
  CHECK(levels[0].indices == Ints{0});
  CHECK(levels[1].row_indptr == Ints{0, 3, 4});  // the second child alone sees something here
  CHECK(levels[1].indptr == Ints{0, 0, 1});
  CHECK(levels[2].causal);
  CHECK(levels[2].row_indptr == Ints{0, 1, 3, 4});
  CHECK(levels[2].indices == Ints{1, 2});
}

TEST_CASE("page tables are given where pages are full from their start, and refused elsewhere") {
  ab::KvCache cache({.n_pages = 8, .page_size = 2, .share_tail = ab::ShareTail::never});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1, 2, 3, 4});
  const auto kids = step.fork(sequence, 2);
  step.append(kids[0], {5, 6, 7});
  step.append(kids[1], {8});
  const auto plan = step.plan();
  std::vector<ab::PagedLevel> levels;
  REQUIRE(ab::page_tables(*plan, levels) == ab::Status::ok);
  REQUIRE(levels.size() == 3);
  CHECK(levels[0].indices == Ints{0, 1});  // the trunk, for the branches
  CHECK(levels[1].last_page_len == Ints{0, 1});
  CHECK(levels[2].last_page_len == Ints{2, 1, 0});
  step.commit();

  ab::KvCache sharing({.n_pages = 8, .page_size = 4});
  const ab::SequenceId trunk = sharing.create_sequence();
  auto other = sharing.begin_step();
  other.append(trunk, {1, 2, 3});
  const auto branches = other.fork(trunk, 2);
  other.append(branches[0], {4});  // writes into the trunk's page
  other.append(branches[1], {5});
  std::vector<ab::PagedLevel> none;
  CHECK(ab::page_tables(*other.plan(), none) == ab::Status::not_exact);
  CHECK(none.empty());
}

TEST_CASE("host operations: additive ones before the pass, removing ones after the commit") {
  using Kind = ab::HostOp::Kind;
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1, 2, 3});
  const auto kids = step.fork(sequence, 2, {.positions = ab::Positions::longest});
  step.append(kids[0], {4, 5});
  step.append(kids[1], {6});
  {
    const auto plan = step.plan();
    REQUIRE(plan->ops_before.size() == 2);
    CHECK(plan->ops_before[1].kind == Kind::share);
    CHECK(plan->ops_before[1].sequence == kids[1]);
    CHECK(plan->ops_before[1].source == sequence);
    CHECK(plan->ops_before[1].end == 3);
    CHECK(plan->ops_after_commit.empty());
  }
  step.commit();
  step = cache.begin_step();
  step.join(sequence, kids);
  step.rewind(sequence, 5);
  const auto plan = step.plan();
  REQUIRE(plan->ops_before.size() == 3);
  CHECK(plan->ops_before[0].begin == 3);
  CHECK(plan->ops_before[0].end == 5);
  CHECK(plan->ops_before[2].kind == Kind::restart);
  CHECK(plan->ops_after_commit.size() == 3);
  CHECK(plan->ops_after_commit[0].kind == Kind::remove);
}
