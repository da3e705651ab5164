// The host's table against a model of llama.cpp's memory: plans that it refuses.
#include "seq_table_world.hpp"

TEST_CASE("position jumps are refused with the position, and the step can be aborted") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::sequential});
  for (const SequenceId kid : kids) first.append(kid, words(3));
  REQUIRE(world.run(first));
  world.commit(first);
  {
    ab::Step step = world.cache.begin_step();
    step.join(trunk, kids);
    step.append(trunk, words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("at position 10") != std::string::npos);
    CHECK(world.text.find("goes on at position 7") != std::string::npos);
  }
  {
    ab::Step step = world.cache.begin_step();
    const auto set_aside = step.fork(trunk, 2, {.positions = Positions::reserved(8)});
    step.append(set_aside[1], words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("at position 12") != std::string::npos);
  }
  ab::Step step = world.cache.begin_step();
  step.join(trunk, {kids[0]});
  step.append(trunk, words(1));
  step.drop(kids[1]);
  REQUIRE(world.run(step));
  world.commit(step);
  CHECK(world.table.n_used() == 1);
}

TEST_CASE("a rewind into a join is refused where llama.cpp would show too much, and works again further back") {
  World world;
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 2, {.positions = Positions::longest});
  for (const SequenceId kid : kids) first.append(kid, words(3));
  first.join(trunk, kids);
  first.append(trunk, words(2));
  REQUIRE(world.run(first));
  world.commit(first);
  for (const std::int32_t n_kept : {9, 7, 5}) {  // in the second branch, before it, in the first
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, n_kept);
    step.append(trunk, words(1));
    CHECK_FALSE(world.run(step));
    CHECK(world.text.find("sequence 0 has " + std::to_string(n_kept + 1) + " tokens") != std::string::npos);
  }
  for (const std::int32_t n_kept : {10, 4, 2}) {
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, n_kept);
    step.append(trunk, words(1));
    REQUIRE(world.run(step));
    world.commit(step);
    CHECK(world.memory.n_used() == static_cast<std::size_t>(n_kept) + 1);
  }
}

TEST_CASE("a plan that needs more seq_ids than there are is refused, and goes through when some are free") {
  World world(4096, 4);
  const SequenceId trunk = world.cache.create_sequence();
  ab::Step first = world.cache.begin_step();
  first.append(trunk, words(4));
  const auto kids = first.fork(trunk, 3, {.positions = Positions::longest});
  REQUIRE(world.run(first));
  world.commit(first);
  CHECK(world.table.n_used() == 4);
  {
    ab::Step step = world.cache.begin_step();
    step.rewind(trunk, 4);
    step.append(kids[0], words(1));
    step.fork(kids[0], 1, {.positions = Positions::longest});
    try {
      world.run(step);
      FAIL("a fifth seq_id of four was given");
    } catch (const ab::Error& error) {
      CHECK(error.status() == ab::Status::limit_reached);
      CHECK(std::string(error.what()).find("all 4 are in use") != std::string::npos);
    }
  }
  ab::Step drop = world.cache.begin_step();
  drop.drop(kids[2]);
  REQUIRE(world.run(drop));
  world.commit(drop);
  ab::Step step = world.cache.begin_step();
  step.append(kids[0], words(1));
  step.fork(kids[0], 1, {.positions = Positions::longest});
  REQUIRE(world.run(step));
  world.commit(step);
}
