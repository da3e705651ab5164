// Decoder::plan(shares): which requests take part in a pass, with how many rows, never changes what they write.
#include "world.hpp"

using namespace schedules;

TEST_CASE("A request with fewer rows than branches takes more passes, and writes the same") {
  std::mt19937 random(3);
  std::int32_t n_split = 0;
  for (std::int32_t i = 0; i < 300; ++i) {
    const Script script = random_script(random);
    const ab::Positions positions = i % 2 == 0 ? ab::Positions::sequential : ab::Positions::longest;
    const std::vector<Outcome> expected = alone(script, positions);
    INFO("script " << i);
    World world(positions);
    ab::RequestId id = ab::kNoRequest;
    for (std::size_t turn = 0; turn < script.prompts.size(); ++turn) {
      id = submit_turn(world.decoder, script, turn, id);
      while (world.decoder.has_work()) {
        const ab::RequestDemand demand = world.decoder.demand(id);
        const ab::RequestShare share{id, 1 + static_cast<std::int32_t>(random() % 4)};
        if (!demand.is_filling && demand.n_branches > share.n_rows) ++n_split;
        const ab::DecoderPlan plan = world.decoder.plan(std::span(&share, 1));
        REQUIRE(plan);
        CHECK(plan->n_rows() > 0);
        world.run(plan);
      }
      REQUIRE(outcome_of(world.decoder, id) == expected[turn]);
    }
    REQUIRE(world.cache.snapshot().check() == std::vector<std::string>{});
  }
  CHECK(n_split > 100);
}

TEST_CASE("Requests without a share wait, and those with one are not asked for more rows than it has") {
  World world;
  const ab::RequestId a = world.decoder.submit(tokens("abcdefghijkl")), b = world.decoder.submit(tokens("mno"));
  const std::vector<ab::RequestShare> shares = {{a, 5}};
  const ab::DecoderPlan first = world.decoder.plan(shares);
  CHECK(first->n_rows() == 5);
  CHECK(first->outputs.empty());
  world.run(first);
  CHECK(world.decoder.demand(a).n_rows == 7);
  CHECK(world.decoder.statistics(b).n_passes == 0);
  CHECK_FALSE(world.decoder.demand(b).is_in_cache);
  const std::vector<ab::RequestShare> both = {{b, 3}, {a, 1}};
  const ab::DecoderPlan second = world.decoder.plan(both);
  CHECK(second->n_rows() == 4);
  CHECK(second->outputs.size() == 1);
  world.run(second);
  const ab::DecoderPlan all = world.decoder.plan();  // as if there were no shares
  CHECK(all->n_rows() == 6 + 1);
  world.decoder.abort();
}

TEST_CASE("Shares without rows and of unknown requests are refused; no share at all is no pass") {
  World world;
  const ab::RequestId id = world.decoder.submit(tokens("abc"));
  const std::vector<ab::RequestShare> empty = {{id, 0}}, unknown = {{ab::RequestId{9}, 1}};
  CHECK_THROWS_AS(world.decoder.plan(empty), ab::Error);
  CHECK_THROWS_AS(world.decoder.plan(unknown), ab::Error);
  const ab::DecoderPlan none = world.decoder.plan(std::span<const ab::RequestShare>{});
  CHECK_FALSE(static_cast<bool>(none));
  CHECK(none.shortage().n_pages == 0);
  CHECK(world.decoder.has_work());
  world.run();
  CHECK(world.decoder.reason(id) != ab::EndReason::none);
}
