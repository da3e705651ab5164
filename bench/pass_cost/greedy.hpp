// The likeliest token: what a greedy caller takes from llama.cpp's logits, at the least cost.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace anabranch::bench {

/// The first of the largest. REQUIRES: not empty, no NaN.
inline std::int32_t likeliest(std::span<const float> logits) {
  constexpr std::size_t kLanes = 32;  // independent maxima, which a compiler makes vectors of
  std::array<float, kLanes> most;
  most.fill(logits[0]);
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (std::size_t k = 0; k < kLanes; ++k) most[k] = logits[i + k] > most[k] ? logits[i + k] : most[k];
  for (const float logit : logits.subspan(i)) most[0] = std::max(most[0], logit);
  const float best = *std::max_element(most.begin(), most.end());
  return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), best) - logits.begin());
}

}  // namespace anabranch::bench
