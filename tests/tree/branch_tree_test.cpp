// Operations on a tree of a few sequences, without a plan: what they change, and that an abort brings it back.
#include <array>
#include <memory_resource>
#include <vector>

#include <anabranch/tree/branch_tree.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

struct World {
  std::pmr::memory_resource* memory = std::pmr::get_default_resource();
  PagePool<> pool{8, RuntimePageSize{4}, memory};
  BranchTree<Positions, RuntimePageSize> tree{pool, {}, memory};
  SequenceId trunk = tree.create_sequence(0);

  const SequenceState<Positions>& state(SequenceId id) const { return tree.sequences()[tree.sequences().find(id)]; }
  std::int32_t n_tokens(SequenceId id) const { return tree.n_tokens(tree.sequences().find(id)); }
  std::array<SequenceId, 2> fork(SequenceId parent) {
    std::array<SequenceId, 2> kids;
    tree.fork(parent, kids, {});
    return kids;
  }
};

}  // namespace

TEST_CASE("children see what the parent sees at the fork, and start behind it") {
  World w;
  w.tree.begin();
  w.tree.append(w.trunk, {}, 3, Logits::none);
  const auto kids = w.fork(w.trunk);
  w.tree.append(w.trunk, {}, 1, Logits::none);
  w.tree.append(kids[1], {}, 2, Logits::none);
  CHECK(w.n_tokens(kids[0]) == 3);
  CHECK(w.n_tokens(kids[1]) == 5);
  CHECK(w.state(kids[0]).start == 3);
  CHECK(w.state(kids[0]).fork_tokens == 3);
  CHECK(w.n_tokens(w.trunk) == 4);
}

TEST_CASE("a join appends the children's own tokens and ends the children") {
  World w;
  w.tree.begin();
  w.tree.append(w.trunk, {}, 3, Logits::none);
  const auto kids = w.fork(w.trunk);
  w.tree.append(kids[0], {}, 1, Logits::none);
  w.tree.append(kids[1], {}, 2, Logits::none);
  w.tree.join(w.trunk, std::array{kids[1], kids[0]}, {});
  CHECK(w.n_tokens(w.trunk) == 6);
  CHECK(w.state(w.trunk).next == 6);
  CHECK_FALSE(w.tree.sequences().alive(kids[0]));
  CHECK(w.tree.sequences().n_alive() == 1);
  CHECK(w.tree.host_ops().before().size() == 4);  // two forks, two joins
  CHECK(w.tree.host_ops().after().size() == 2);
}

TEST_CASE("an abort undoes forks, appends, drops and new sequences") {
  World w;
  w.tree.begin();
  const SequenceId other = w.tree.create_sequence(5);
  w.tree.append(w.trunk, {}, 3, Logits::none);
  const auto kids = w.fork(w.trunk);
  w.tree.drop(kids[0]);
  w.tree.abort();
  CHECK(w.tree.sequences().n_alive() == 1);
  CHECK(w.n_tokens(w.trunk) == 0);
  CHECK(w.state(w.trunk).next == 0);
  CHECK(w.state(w.trunk).first_child == kNoIndex);
  for (const SequenceId id : {other, kids[0], kids[1]}) CHECK_FALSE(w.tree.sequences().alive(id));
  CHECK(w.tree.history().nodes().size() > 0);
  for (NodeIndex i{0}; i < NodeIndex(w.tree.history().nodes().size()); ++i)
    CHECK_FALSE(w.tree.history().nodes().in_use(i));
  CHECK(w.tree.host_ops().before().empty());
}

TEST_CASE("an abort puts dropped sequences back among their siblings") {
  World w;
  w.tree.begin();
  const auto kids = w.fork(w.trunk);
  const auto grandkids = w.fork(kids[0]);
  w.tree.commit();
  w.tree.begin();
  w.tree.drop(kids[0]);
  CHECK(w.tree.sequences().n_alive() == 2);
  w.tree.abort();
  CHECK(w.tree.sequences().n_alive() == 5);
  CHECK(w.tree.sequences().id(w.state(w.trunk).first_child) == kids[0]);
  CHECK(w.tree.sequences().id(w.state(kids[0]).next_sibling) == kids[1]);
  CHECK(w.tree.sequences().id(w.state(kids[0]).last_child) == grandkids[1]);
}

TEST_CASE("the parent adopts a child's tokens, position and children") {
  World w;
  w.tree.begin();
  w.tree.append(w.trunk, {}, 3, Logits::none);
  const auto kids = w.fork(w.trunk);
  w.tree.append(w.trunk, {}, 4, Logits::none);
  w.tree.append(kids[1], {}, 1, Logits::none);
  const auto grandkids = w.fork(kids[1]);
  w.tree.adopt(w.trunk, kids[1]);
  CHECK(w.n_tokens(w.trunk) == 4);
  CHECK(w.state(w.trunk).next == 4);
  CHECK(w.tree.sequences().id(w.state(grandkids[0]).parent) == w.trunk);
  CHECK(w.tree.sequences().n_alive() == 3);
}

TEST_CASE("a rewind of this step's own tokens shortens what is staged") {
  World w;
  w.tree.begin();
  const std::vector<TokenId> five{1, 2, 3, 4, 5};
  w.tree.append(w.trunk, five, 0, Logits::last);
  w.tree.rewind(w.trunk, 2);
  CHECK(w.n_tokens(w.trunk) == 2);
  const auto& staged = w.tree.staged();
  REQUIRE(staged.segments().size() == 1);
  const StagedPiece& piece = staged[staged.segments()[StagedIndex(0)].first_piece];
  CHECK(piece.count == 2);
  CHECK(piece.logits == Logits::none);
}
