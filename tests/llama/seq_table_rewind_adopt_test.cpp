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
