// The host's table against a model of llama.cpp's memory: forks and joins.
#include "seq_table_world.hpp"

TEST_CASE("a fork with ragged prefixes is one batch, a join with branch ends two") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(5));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  for (int k = 0; k < 3; ++k) first.append(kids[static_cast<std::size_t>(k)], words(1 + k));
  REQUIRE(world.run(first));
  CHECK(world.n_batches == 1);
  world.commit(first);
  CHECK(world.table.n_used() == 4);

  ab::Step second = world.cache.begin_step();
  second.append(kids[1], words(1));
  second.join(trunk, kids);
  second.append(trunk, words(1));
  REQUIRE(world.run(second));
  CHECK(world.n_batches == 2);
  world.abort(second);
  CHECK(world.table.n_used() == 4);

  ab::Step again = world.cache.begin_step();
  again.append(kids[1], words(1));
  again.join(trunk, kids);
  again.append(trunk, words(1));
  REQUIRE(world.run(again));
  world.commit(again);
  CHECK(world.table.n_used() == 1);
  CHECK(world.memory.n_used() == 5 + 1 + 3 + 3 + 1);
}

TEST_CASE("a late join among the parent's own tokens is undone and done") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(2));
  first.append(trunk, words(5));  // past what the branches reach
  REQUIRE(world.run(first));
  world.commit(first);
  for (const bool commit : {false, true}) {
    ab::Step step = world.cache.begin_step();
    step.append(kids[1], words(1));
    step.append(trunk, words(1));
    step.join(trunk, {kids[1]});
    step.append(trunk, words(1));
    REQUIRE(world.run(step));
    CHECK(world.n_batches == 2);
    commit ? world.commit(step) : world.abort(step);
  }
  CHECK(world.table.n_used() == 2);
}
