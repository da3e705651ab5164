// The host's table against a model of llama.cpp's memory: adopts of rewound drafts, and sequences that end in other
// steps.
#include "seq_table_world.hpp"

TEST_CASE("an adopt of a rewound draft and a detached branch go on in their own sequences") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(4));
  REQUIRE(world.run(first));
  world.commit(first);
  for (const bool commit : {false, true}) {
    ab::Step step = world.cache.begin_step();
    step.detach(kids[2]);
    step.rewind(kids[1], 6);
    step.adopt(trunk, kids[1]);
    step.append(trunk, words(1));
    step.append(kids[2], words(2));
    REQUIRE(world.run(step));
    CHECK(world.n_batches == 1);
    commit ? world.commit(step) : world.abort(step);
  }
  CHECK(world.table.n_used() == 2);
  CHECK(world.memory.n_used() == 4 + 2 + 1 + 4 + 2);
}

TEST_CASE("an adopt after the parent went on and forked again takes the child's tokens, not the parent's") {
  for (const bool detached : {false, true}) {
    for (const int n_child : {0, 1, 3}) {
      INFO((detached ? "detached, " : "dropped, ") << n_child << " tokens of the child");
      World world;
      const SequenceId trunk = world.cache.create_sequence();
      ab::Step first = world.cache.begin_step();
      first.append(trunk, words(4));
      REQUIRE(world.run(first));
      world.commit(first);
      for (const bool commit : {false, true}) {
        ab::Step step = world.cache.begin_step();
        const SequenceId child = step.fork(trunk, 1, {.positions = Positions::longest})[0];
        step.append(child, words(n_child));
        step.append(trunk, words(2));
        const SequenceId other = step.fork(trunk, 1, {.positions = Positions::longest})[0];
        step.append(other, words(1));
        if (detached) step.detach(other);
        step.adopt(trunk, child);
        step.append(trunk, words(1));
        REQUIRE(world.run(step));
        commit ? world.commit(step) : world.abort(step);
      }
      CHECK(world.table.n_used() == (detached ? 2 : 1));
      CHECK(world.memory.n_used() == static_cast<std::size_t>(4 + n_child + 1 + (detached ? 3 : 0)));
    }
  }
}

TEST_CASE("a rewind behind a fork that was detached leaves the fork the tokens that it takes back") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step step = world.cache.begin_step();
  step.append(trunk, words(4));
  const SequenceId other = step.fork(trunk, 1, {.positions = Positions::longest})[0];
  step.detach(other);
  step.rewind(trunk, 2);
  step.append(trunk, words(3));
  step.append(other, words(1));
  REQUIRE(world.run(step));
  world.commit(step);
  CHECK(world.memory.n_used() == 4 + 1 + 3);
}

TEST_CASE("a sequence that ends in a step that did not run through the host gives its seq_id back") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(2));
  REQUIRE(world.run(first));
  world.commit(first);
  ab::Step drop = world.cache.begin_step();
  drop.drop(kids[0]);
  REQUIRE(drop.plan());
  drop.commit();
  CHECK(world.table.n_used() == 3);
  ab::Step step = world.cache.begin_step();
  step.append(kids[1], words(1));
  REQUIRE(world.run(step));
  CHECK(world.table.n_used() == 2);
  world.commit(step);
  CHECK(world.memory.n_used() == 4 + 3);
}
