// The host's table against a model of llama.cpp's memory: random trees.
#include "random_trees.hpp"

TEST_CASE("random trees with longest positions: every row sees what the plan says, nothing is refused") {
  Counts counts;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    RandomTrees trees(seed, followed(), counts);
    for (int i = 0; i < 40; ++i) REQUIRE_NOTHROW(trees.step());
    CHECK(trees.world().text == "");
    trees.drop_all();
    ab::Step last = trees.world().cache.begin_step();
    REQUIRE(trees.world().run(last));
    CHECK(trees.world().table.n_used() == 0);
    CHECK(trees.world().memory.n_used() == 0);
  }
  CHECK(counts.refused == 0);
  CHECK(counts.two_batches > 200);
  CHECK(counts.adopts > 500);
  CHECK(counts.rewinds > 500);
  CHECK(counts.rejects > 500);
  WARN(counts.steps << " steps, " << counts.aborted << " aborted, " << counts.rows << " rows in " << counts.batches
                    << " batches, " << counts.joins << " joins");
}

TEST_CASE("random trees with every position policy and any rewind: a row sees what the plan says, or is refused") {
  Counts counts;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    RandomTrees trees(seed, unrestricted(), counts);
    for (int i = 0; i < 40; ++i) REQUIRE_NOTHROW(trees.step());
  }
  CHECK(counts.refused > 500);
  CHECK(counts.steps - counts.refused > 3000);
  WARN(counts.steps << " steps, " << counts.refused << " refused, " << counts.aborted << " aborted");
}
