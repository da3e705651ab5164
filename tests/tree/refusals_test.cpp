// Refused calls say the bad value, the limit, and, where it is not obvious, what to do.
#include <anabranch/anabranch.hpp>

#include "catch.hpp"

namespace ab = anabranch;

namespace {

/// A cache whose root has three tokens, with an open step.
struct SmallWorld {
  explicit SmallWorld(ab::Position max_position = ab::kUnlimited)
      : cache({.n_pages = 4, .page_size = 16, .max_position = max_position}), root(cache.create_sequence()) {
    auto first = cache.begin_step();
    first.append(root, {1, 2, 3});
    REQUIRE(first.plan());
    first.commit();
  }
  ab::KvCache cache;
  ab::SequenceId root;
};

}  // namespace

TEST_CASE("Refused appends, holds and ids name value and limit") {
  SmallWorld world;
  auto step = world.cache.begin_step();
  CHECK_THROWS_WITH(step.append_unknown(world.root, -3), "append of -3 tokens; 0 or more are needed");
  CHECK_THROWS_WITH(step.hold(world.root, 65), "hold of 65 slots; 0 to the pool's 64 can be held");
  CHECK_THROWS_WITH(step.drop(ab::kNoSequence), "kNoSequence names no sequence");
  CHECK_THROWS_WITH(step.drop(ab::SequenceId{7, 2}), "sequence 7 of generation 2 is not alive; 1 sequences are");
}

TEST_CASE("Refused forks name the policy and what it takes") {
  SmallWorld world;
  auto step = world.cache.begin_step();
  const std::vector<ab::Position> one{5};
  CHECK_THROWS_WITH(step.fork(world.root, 2, {ab::Positions::reserved(0)}),
                    "fork with reserved positions of extent 0; the extent must be 1 or more");
  CHECK_THROWS_WITH(step.fork(world.root, 2, {ab::Positions{static_cast<ab::Positions::Kind>(9), 0}}),
                    "fork with a position policy of kind 9; kinds are 0 to 3: sequential, longest, reserved, given");
  CHECK_THROWS_WITH(step.fork(world.root, 2, {ab::Positions::given, one}),
                    "fork into 2 children with 1 start positions; this policy takes 2");
  CHECK_THROWS_WITH(step.fork(world.root, 1, {ab::Positions::longest, one}),
                    "fork into 1 children with 1 start positions; this policy takes 0");
}

TEST_CASE("Refused joins name the next position and who takes one") {
  SmallWorld world(100);
  auto step = world.cache.begin_step();
  const std::vector<ab::Position> start{50};
  const std::vector<ab::SequenceId> given = step.fork(world.root, 1, {ab::Positions::given, start});
  CHECK_THROWS_WITH(step.join(world.root, given),
                    "join of branches with `given` positions and next position -1; it must be given, 0 to 100");
  CHECK_THROWS_WITH(step.join(world.root, given, {.next = 101}),
                    "join of branches with `given` positions and next position 101; it must be given, 0 to 100");
  const std::vector<ab::SequenceId> longest = step.fork(world.root, 1, {ab::Positions::longest});
  CHECK_THROWS_WITH(step.join(world.root, longest, {.next = 7}),
                    "join with next position 7, which only branches with `given` positions take; theirs follows from "
                    "their policy");
}

TEST_CASE("A result without a plan says what is short when it is read all the same") {
  SmallWorld world;
  auto step = world.cache.begin_step();
  step.append_unknown(world.root, 100);
  const ab::PlanResult plan = step.plan();
  REQUIRE(!plan);
  CHECK_THROWS_WITH(plan->n_rows(), "there is no plan to read: " + std::to_string(plan.shortage().n_pages) +
                                        " pages are short, " + std::to_string(plan.shortage().n_free) +
                                        " are free; test the result of plan() first");
}

namespace {

/// Starts children below position 0, or lets the parent go on there.
struct BadPositions {
  ab::WidePosition first = 0, after = 0;
  bool valid() const noexcept { return true; }
  bool is_given() const noexcept { return false; }
  ab::WidePosition start(ab::Position, std::int32_t k) const noexcept { return first + k; }
  ab::WidePosition end(ab::Position, std::int32_t) const noexcept { return ab::kUnlimited; }
  ab::WidePosition after_fork(ab::Position, std::int32_t) const noexcept { return after; }
  ab::NextRule after_join(ab::Position next, ab::Position) const noexcept { return {next, 0}; }
};

}  // namespace

TEST_CASE("A policy of the caller's own cannot lead below position 0") {
  ab::BasicKvCache<ab::NoPayload, BadPositions> cache({.n_pages = 4});
  const ab::SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  CHECK_THROWS_WITH(step.fork(root, 2, {BadPositions{-1, 0}}),
                    "the position policy lets child 0 start at -1; 0 to 2147483647 are positions");
  CHECK_THROWS_WITH(step.fork(root, 2, {BadPositions{0, -7}}),
                    "fork at position 0 lets the parent go on at -7, below position 0");
  CHECK(cache.children(root).empty());
}
