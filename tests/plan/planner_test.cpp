// Pages, slots and rows of a few small steps: a tree and a planner, without a cache.
#include <array>
#include <memory_resource>
#include <vector>

#include <anabranch/plan/planner.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

using Slots = std::vector<Slot>;

struct Planned {
  std::pmr::memory_resource* memory = std::pmr::get_default_resource();
  PagePool<> pool;
  BranchTree<Positions, RuntimePageSize> tree{pool, {}, memory};
  Planner<Positions, RuntimePageSize> planner;
  SequenceId trunk = tree.create_sequence(0);

  explicit Planned(std::int32_t n_pages, ShareTail share_tail = ShareTail::spare)
      : pool(n_pages, RuntimePageSize{4}, std::pmr::get_default_resource()), planner(pool, share_tail, memory) {
    tree.begin();
  }
  std::array<SequenceId, 2> fork() {
    std::array<SequenceId, 2> kids;
    tree.fork(trunk, kids, {});
    return kids;
  }
  void append(SequenceId id, std::int32_t n, Logits logits = Logits::none) { tree.append(id, {}, n, logits); }
  /// Slots of the rows, in order.
  Slots slots() {
    const PlanResult plan = planner.plan(tree);
    REQUIRE(plan);
    return {plan->slots.begin(), plan->slots.end()};
  }
  void commit() {
    tree.commit();
    planner.commit();
    tree.begin();
  }
  void abort() {
    tree.abort();
    planner.abort();
    tree.begin();
  }
};

}  // namespace

TEST_CASE("a sequence fills its page before it takes the next") {
  Planned p(3);
  p.append(p.trunk, 3);
  CHECK(p.slots() == Slots{0, 1, 2});
  p.commit();
  p.append(p.trunk, 2);
  CHECK(p.slots() == Slots{3, 4});
  CHECK(p.pool.n_free() == 1);
}

TEST_CASE("one child writes on in the parent's page, the others take pages of their own") {
  Planned p(4);
  p.append(p.trunk, 2);
  p.slots();
  p.commit();
  const auto kids = p.fork();
  p.append(kids[0], 1);
  p.append(kids[1], 2);
  CHECK(p.slots() == Slots{2, 4, 5});
}

TEST_CASE("with page-disjoint branches every child takes a page of its own") {
  Planned p(4, ShareTail::never);
  p.append(p.trunk, 2);
  p.slots();
  p.commit();
  const auto kids = p.fork();
  p.append(kids[0], 1);
  p.append(kids[1], 2);
  CHECK(p.slots() == Slots{4, 8, 9});
}

TEST_CASE("a shortage says how many pages are missing, and leaves every page as it was") {
  Planned p(2);
  p.append(p.trunk, 4 + 4 + 4 + 1);
  const PlanResult plan = p.planner.plan(p.tree);
  REQUIRE_FALSE(plan);
  CHECK(plan.shortage().n_pages == 2);
  CHECK(plan.shortage().n_free == 2);
  CHECK(p.pool.n_free() == 2);
  p.tree.rewind(p.trunk, 8);
  CHECK(p.slots().size() == 8);
}

TEST_CASE("an aborted step gives its pages back, and the next plan takes the same") {
  Planned p(2);
  p.append(p.trunk, 3);
  CHECK(p.slots() == Slots{0, 1, 2});
  p.abort();
  CHECK(p.pool.n_free() == 2);
  p.append(p.trunk, 1);
  CHECK(p.slots() == Slots{0});
}

TEST_CASE("a sequence that holds slots gets pages without rows") {
  Planned p(3);
  p.append(p.trunk, 2);
  p.tree.hold(p.trunk, 6);
  CHECK(p.slots() == Slots{0, 1});
  CHECK(p.pool.n_free() == 1);
  p.commit();
  CHECK(p.pool.n_free() == 1);
}

TEST_CASE("rows stand in the order of histories, and outputs in the order of rows") {
  Planned p(8);
  p.append(p.trunk, 2, Logits::last);
  const auto kids = p.fork();
  p.append(kids[1], 1, Logits::last);
  p.append(kids[0], 2, Logits::all);
  p.tree.request_logits(kids[0]);  // that row has an output already
  const PlanResult plan = p.planner.plan(p.tree);
  REQUIRE(plan);
  const StepPlan& step = *plan;
  const std::vector<SequenceId> owners(step.sequences.begin(), step.sequences.end());
  CHECK(owners == std::vector{p.trunk, p.trunk, kids[0], kids[0], kids[1]});
  CHECK(std::vector(step.positions.begin(), step.positions.end()) == std::vector<Position>{0, 1, 2, 3, 2});
  std::vector<RowIndex> outputs;
  for (const Output& output : step.outputs) outputs.push_back(output.row);
  CHECK(outputs == std::vector<RowIndex>{1, 2, 3, 4});
}
