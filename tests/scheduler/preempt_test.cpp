// Decoder::preempt: a request that loses its pages goes on as if it had them.
#include "world.hpp"

using namespace schedules;

namespace {

/// Runs a script, and takes its pages before each pass that `preempts` names. Returns what every turn wrote, and what
/// the model keeps of the whole history at the end.
struct Run {
  std::vector<Outcome> outcomes;
  std::vector<std::uint64_t> contents;
  std::int64_t n_passes = 0;
};

template <class Preempts>
Run run(const Script& script, ab::Positions positions, std::int32_t n_rows, Preempts&& preempts) {
  World world(positions);
  Run result;
  ab::RequestId id = ab::kNoRequest;
  for (std::size_t turn = 0; turn < script.prompts.size(); ++turn) {
    if (id != ab::kNoRequest && preempts(world.model.n_passes)) world.decoder.preempt(id);
    id = submit_turn(world.decoder, script, turn, id);
    std::int64_t n_before = -1;
    while (world.decoder.has_work()) {
      if (preempts(world.model.n_passes) && n_before != world.model.n_passes) {
        world.decoder.preempt(id);
        CHECK(world.cache.n_free_pages() == world.cache.n_pages());
        CHECK(world.cache.n_sequences() == 0);
        n_before = world.model.n_passes;
      }
      const ab::RequestShare share{id, n_rows};
      const ab::DecoderPlan plan = world.decoder.plan(std::span(&share, 1));
      REQUIRE(plan);
      world.run(plan);
      REQUIRE(world.cache.snapshot().check() == std::vector<std::string>{});
    }
    result.outcomes.push_back(outcome_of(world.decoder, id));
  }
  ab::RequestOptions options;  // whatever was left to feed is fed
  options.after = id;
  options.max_tokens = 1;
  id = world.decoder.submit(tokens("q"), options);
  world.run();
  result.contents = world.contents(id);
  result.n_passes = world.model.n_passes;
  return result;
}

const ab::Positions kPolicies[] = {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(40)};

}  // namespace

TEST_CASE("A request that is preempted before any one pass writes the same, and leaves the same bits in the cache") {
  std::mt19937 random(7);
  std::int32_t n_blocks = 0, n_forgotten = 0;
  for (std::int32_t i = 0; i < 60; ++i) {
    const Script script = random_script(random);
    const ab::Positions positions = kPolicies[i % 3];
    const Run plain = run(script, positions, ab::kUnlimited, [](std::int64_t) { return false; });
    INFO("script " << i);
    for (std::int64_t at = 0; at < plain.n_passes; ++at) {
      INFO("preempted before pass " << at);
      const Run other = run(script, positions, ab::kUnlimited, [&](std::int64_t n) { return n == at; });
      REQUIRE(other.outcomes == plain.outcomes);
      REQUIRE(other.contents == plain.contents);
    }
    World world(positions);
    const ab::RequestId id = world.decoder.submit(script.prompts[0], script.options);
    world.run();
    n_blocks += world.decoder.statistics(id).n_blocks;
    n_forgotten += world.decoder.statistics(id).n_forgotten;
  }
  CHECK(n_blocks > 30);
  CHECK(n_forgotten > 20);
}

TEST_CASE("A request that is preempted again and again, in parts of a few rows, writes the same") {
  std::mt19937 random(8);
  for (std::int32_t i = 0; i < 200; ++i) {
    const Script script = random_script(random);
    const ab::Positions positions = kPolicies[i % 3];
    INFO("script " << i);
    const Run plain = run(script, positions, ab::kUnlimited, [](std::int64_t) { return false; });
    const auto odds = 12 + random() % 40;
    std::mt19937 coin(static_cast<std::uint32_t>(random()));
    const auto rows = 1 + static_cast<std::int32_t>(random() % 12);
    const Run other = run(script, positions, rows, [&](std::int64_t) { return coin() % odds == 0; });
    REQUIRE(other.outcomes == plain.outcomes);
    REQUIRE(other.contents == plain.contents);
  }
}

TEST_CASE("Behind an empty block of a prompt the bits are the same, whatever a pass holds and when it is preempted") {
  ab::StructuredPrompt prompt;
  prompt.append(tokens("abcdef"));
  prompt.begin_block(ab::Positions::sequential, 2);
  for (int branch = 0; branch < 2; ++branch) prompt.begin_branch(), prompt.end_branch();
  prompt.end_block();
  prompt.append(tokens("ghijklmnop"));
  const auto write = [&](std::int32_t n_rows, std::int64_t preempted_at) {
    World world;
    const ab::RequestId id = world.decoder.submit(prompt, {.max_tokens = 30});
    while (world.decoder.has_work()) {
      if (world.model.n_passes == preempted_at) world.decoder.preempt(id);
      const ab::RequestShare share{id, n_rows};
      const ab::DecoderPlan plan = world.decoder.plan(std::span(&share, 1));
      REQUIRE(plan);
      world.run(plan);
    }
    REQUIRE(world.cache.snapshot().check() == std::vector<std::string>{});
    return std::pair(outcome_of(world.decoder, id), world.contents(id));
  };
  const auto plain = write(ab::kUnlimited, ab::kNone);
  CHECK(plain.first.n_sampled > 4);
  for (const std::int32_t n_rows : {1, 3, 8}) CHECK(write(n_rows, ab::kNone) == plain);
  for (std::int64_t at = 0; at < 12; ++at) CHECK(write(5, at) == plain);
}

TEST_CASE("A replay takes as many passes as its rows need, not one for each token") {
  World world;
  const ab::RequestId id = world.decoder.submit(tokens("abcdefghijklmn"), {.max_tokens = 40});
  for (int pass = 0; pass < 8; ++pass) world.run(world.decoder.plan());
  REQUIRE(world.decoder.reason(id) == ab::EndReason::none);
  const ab::RequestDemand before = world.decoder.demand(id);
  CHECK_FALSE(before.is_filling);
  CHECK(before.is_in_cache);
  world.decoder.preempt(id);
  const ab::RequestDemand demand = world.decoder.demand(id);
  CHECK(demand.is_filling);
  CHECK_FALSE(demand.is_in_cache);
  CHECK(demand.n_rows >= 14 + 7);
  CHECK(world.decoder.n_pages(id) == 0);
  std::int32_t n_passes = 0;
  while (world.decoder.demand(id).is_filling) {
    world.run(world.decoder.plan());
    ++n_passes;
  }
  CHECK(n_passes <= 1 + 2 * world.decoder.statistics(id).n_forgotten + 2 * world.decoder.statistics(id).n_blocks);
}

TEST_CASE("A request with a prefix keeps the prefix when it is preempted") {
  World world;
  const ab::RequestId base = world.decoder.submit(tokens("abcdefgh"), {.prefill_only = true});
  world.run();
  const ab::SequenceId prefix = world.decoder.branch(base, ab::kTrunk).sequence;
  const auto write = [&](bool preempts) {
    const ab::RequestId id = world.decoder.submit(tokens("xyz"), {.max_tokens = 25, .prefix = prefix});
    for (int pass = 0; world.decoder.has_work(); ++pass) {
      if (preempts && pass % 3 == 1) {
        world.decoder.preempt(id);
        CHECK(world.cache.n_free_pages() == world.cache.n_pages() - 2);
      }
      world.run(world.decoder.plan());
    }
    const Outcome outcome = outcome_of(world.decoder, id);
    world.decoder.release(id);
    return outcome;
  };
  const Outcome plain = write(false);
  CHECK(plain.n_sampled > 4);
  CHECK(write(true) == plain);
  world.decoder.release(base);
  CHECK(world.cache.n_free_pages() == world.cache.n_pages());
}

TEST_CASE(
    "Preempt is refused while a plan is open, for unknown requests and without the option; of what has no pages it "
    "takes none") {
  World world;
  const ab::RequestId id = world.decoder.submit(tokens("abc"));
  world.decoder.preempt(id);  // never had any
  const ab::DecoderPlan plan = world.decoder.plan();
  CHECK_THROWS_AS(world.decoder.preempt(id), ab::Error);
  world.run(plan);
  CHECK_THROWS_AS(world.decoder.preempt(ab::RequestId{77}), ab::Error);
  world.decoder.cancel(id);
  world.decoder.preempt(id);
  CHECK(world.cache.n_free_pages() == world.cache.n_pages());
  ab::KvCache cache({.n_pages = 8});
  Decoder plain(cache, Unruly{}, Letters{});
  const ab::RequestId other = plain.submit({kFirstLetter});
  CHECK_THROWS_AS(plain.preempt(other), ab::Error);
}
