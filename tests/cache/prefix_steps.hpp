// Steps of tests of the prefix cache: a prompt that is computed, a hit that is checked and given back.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/cache/prefix_cache.hpp>

#include "cache_steps.hpp"
#include "prompts.hpp"

namespace anabranch::test {

using Tokens = std::vector<TokenId>;

/// Computes what follows the first `n_done` tokens of a prompt, which `sequence` sees.
inline std::int32_t feed(KvCache& cache, SequenceId sequence, const StructuredPrompt& prompt, std::int32_t n_done = 0) {
  Step step = cache.begin_step();
  const std::int32_t n = feed_prompt(step, sequence, prompt, n_done);
  finish(step);
  return n;
}

inline SequenceId computed(KvCache& cache, const StructuredPrompt& prompt) {
  const SequenceId sequence = cache.create_sequence();
  feed(cache, sequence, prompt);
  return sequence;
}

/// `before`, then a block of these branches.
inline StructuredPrompt with_block(const StructuredPrompt& before, const std::vector<Tokens>& branches,
                                   const Positions& positions = Positions::sequential) {
  StructuredPrompt prompt = before;
  prompt.begin_block(positions, static_cast<std::int32_t>(branches.size()));
  for (const Tokens& branch : branches) {
    prompt.begin_branch();
    prompt.append(branch);
    prompt.end_branch();
  }
  prompt.end_block();
  return prompt;
}

inline std::int32_t found(const PrefixCache<>& prefixes, const StructuredPrompt& prompt) {
  return prefixes.find(prompt).n_tokens;
}

/// The tokens that a hit's sequence sees, and where it goes on.
inline void check_hit(KvCache& cache, const PrefixHit& hit, const StructuredPrompt& prompt, std::int32_t n) {
  REQUIRE(hit);
  CHECK(hit.n_tokens == n);
  CHECK(cache.tokens_of(hit.sequence) == Tokens(prompt.tokens().begin(), prompt.tokens().begin() + n));
  CHECK(cache.next_position(hit.sequence) == prompt.first(n).next_position());
  CHECK(violations(cache) == "");
}
inline void give_back(KvCache& cache, PrefixCache<>& prefixes, const PrefixHit& hit) {
  prefixes.unpin(hit.pin);
  in_step(cache, [&](Step& step) { step.drop(hit.sequence); });
}

}  // namespace anabranch::test
