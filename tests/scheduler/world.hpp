// Requests, alone and with others: what a request writes alone is what it has to write in any company.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <anabranch/cache/prefix_cache.hpp>

#include "catch.hpp"
#include "hash_model.hpp"

namespace schedules {

/// One request, and those that go on after it: a chat.
struct Script {
  std::vector<Tokens> prompts;
  ab::RequestOptions options;
  bool is_structured = false;  ///< later turns begin with the history of the last one, as a prompt with blocks
};

/// What must not depend on the others.
struct Outcome {
  std::vector<std::string> branches;  ///< tokens of the trunk and of each branch, spelled
  std::vector<std::string> texts;
  std::vector<ab::EndReason> reasons;
  std::int32_t n_sampled = 0;
  std::int32_t n_pages = 0;  ///< the most that it had
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.branches == b.branches && a.texts == b.texts && a.reasons == b.reasons && a.n_sampled == b.n_sampled;
  }
};

inline Outcome outcome_of(const Decoder& decoder, ab::RequestId id) {
  Outcome outcome;
  for (ab::BranchIndex i = 0; i <= decoder.n_branches(id); ++i) {
    const ab::Branch branch = decoder.branch(id, i);
    outcome.branches.push_back(spelled(branch.tokens));
    outcome.texts.push_back(branch.text);
    outcome.reasons.push_back(branch.reason);
  }
  outcome.n_sampled = decoder.statistics(id).n_sampled;
  return outcome;
}

/// A cache, a decoder and a model.
struct World {
  explicit World(ab::Positions positions = ab::Positions::sequential, std::int32_t n_pages = 4096,
                 std::int32_t max_rows = 512, Cuts cuts = Cuts::count)
      : cache({.n_pages = n_pages, .page_size = 4}),
        decoder(cache, Unruly{}, Letters{},
                {.max_branches = 4,
                 .max_tokens = 40,
                 .max_depth = 2,
                 .max_rows = max_rows,
                 .positions = positions,
                 .end_of_text = {kEnd},
                 .draft = true,
                 .preemptible = true}),
        model(cuts) {}

  /// From now on requests begin with what others have computed.
  void share_prefixes() { decoder.use(&prefixes.emplace(cache)); }
  /// Runs the pass that was planned.
  void run(const ab::DecoderPlan& plan) { decoder.commit_sampled(model(plan)); }
  void run() {
    while (decoder.has_work()) {
      const ab::DecoderPlan plan = decoder.plan();
      REQUIRE(plan);
      run(plan);
    }
  }
  /// What the model keeps of all that the trunk sees.
  std::vector<std::uint64_t> contents(ab::RequestId id) const {
    std::vector<std::uint64_t> all;
    for (const ab::Slot slot : cache.slots_of(decoder.branch(id, ab::kTrunk).sequence))
      all.push_back(model.content(slot));
    return all;
  }

  ab::KvCache cache;
  std::optional<ab::PrefixCache<>> prefixes;
  Decoder decoder;
  HashModel model;
};

inline Tokens random_letters(std::mt19937& random, std::int32_t n_least, std::int32_t n_most) {
  Tokens letters;
  const auto n = n_least + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(n_most - n_least + 1));
  for (std::int32_t i = 0; i < n; ++i) letters.push_back(kFirstLetter + static_cast<TokenId>(random() % 20));
  return letters;
}

inline Script random_script(std::mt19937& random) {
  Script script;
  script.prompts.push_back(random_letters(random, 1, random() % 4 == 0 ? 60 : 12));
  if (random() % 4 == 0) script.prompts.push_back(random_letters(random, 1, 20));
  if (script.prompts.size() == 2 && random() % 2 == 0) script.prompts.push_back(random_letters(random, 1, 6));
  if (script.prompts.size() > 1) script.is_structured = random() % 2 == 0;
  script.options.max_tokens = 2 + static_cast<std::int32_t>(random() % 40);
  if (random() % 3 == 0) script.options.max_parallel_branches = 1 + static_cast<std::int32_t>(random() % 3);
  if (random() % 3 == 0) script.options.max_branch_tokens = 2 + static_cast<std::int32_t>(random() % 6);
  return script;
}

/// Submits a turn of a chat, which goes on from the request `before`: submit(prompt, options) with a prompt of either
/// kind.
template <class Submit>
ab::RequestId submit_turn(const Decoder& decoder, const Script& script, std::size_t turn, ab::RequestId before,
                          Submit&& submit) {
  ab::RequestOptions options = script.options;
  if (before == ab::kNoRequest || !script.is_structured) {
    options.after = before;
    return submit(script.prompts[turn], options);
  }
  ab::StructuredPrompt prompt = decoder.history(before);
  prompt.append(script.prompts[turn]);
  return submit(prompt, options);
}

/// The same, to a decoder; `before` is not needed any more.
inline ab::RequestId submit_turn(Decoder& decoder, const Script& script, std::size_t turn, ab::RequestId before) {
  const ab::RequestId id = submit_turn(decoder, script, turn, before, [&](const auto& prompt, const auto& options) {
    return decoder.submit(prompt, options);
  });
  if (before != ab::kNoRequest) decoder.release(before);
  return id;
}

/// The outcome of each turn, in a cache of its own.
inline std::vector<Outcome> alone(const Script& script, ab::Positions positions, Cuts cuts = Cuts::count) {
  World world(positions, 4096, 512, cuts);
  std::vector<Outcome> outcomes;
  ab::RequestId before = ab::kNoRequest;
  for (std::size_t turn = 0; turn < script.prompts.size(); ++turn) {
    const ab::RequestId id = submit_turn(world.decoder, script, turn, before);
    std::int32_t n_pages = 0;
    while (world.decoder.has_work()) {
      const ab::DecoderPlan plan = world.decoder.plan();
      REQUIRE(plan);
      n_pages = std::max(n_pages, world.cache.n_pages() - world.cache.n_free_pages());
      world.run(plan);
    }
    outcomes.push_back(outcome_of(world.decoder, id));
    outcomes.back().n_pages = n_pages;
    before = id;
  }
  return outcomes;
}

}  // namespace schedules
