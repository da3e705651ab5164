// Short ways to write structured prompts, and to compute them in a cache.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/decode/impl/structured_rows.hpp>

#include "cache_steps.hpp"

namespace anabranch::test {

inline StructuredPrompt linear(const std::vector<TokenId>& list) {
  return StructuredPrompt(std::span<const TokenId>(list));
}
inline StructuredPrompt then(StructuredPrompt prompt, const std::vector<TokenId>& more) {
  prompt.append(more);
  return prompt;
}

/// Adds to a step what follows the first `n_done` tokens of a prompt, which `sequence` sees. Returns how many tokens.
template <class Step>
std::int32_t feed_prompt(Step& step, SequenceId sequence, const StructuredPrompt& prompt, std::int32_t n_done) {
  const std::int32_t n = impl::append_blocks(step, sequence, prompt, n_done);
  const auto tail = prompt.tokens().subspan(static_cast<std::size_t>(std::max(prompt.n_structured(), n_done)));
  step.append(sequence, tail);
  return n + static_cast<std::int32_t>(tail.size());
}

}  // namespace anabranch::test
