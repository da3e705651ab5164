// Softmax weights to five digits, in vector code: enough to tell which token a draw falls on, unless it falls within
// their error of the border between two. The sampler takes the exact ones (std::exp, one after the other) only then.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <anabranch/version.hpp>

namespace anabranch::impl {

/// How far a sum of rough weights may be off, relative to the sum of all weights that are computed with std::exp. Its
/// parts: rounding of the exponents x on either side, 3e-7 |x|, where the mean of |x| over the distribution is at most
/// the logarithm of the number of tokens: 4.2e-6 for a million; 16 float additions one after the other, 9e-7; the
/// polynomial and its rounding, 3e-7; std::exp's own, 1e-7.
inline constexpr double kRoughError = 6e-6;

/// Near the end of a float's range: smaller exponents count as this one.
inline constexpr float kLowest = -126.0f;

/// 2^x for kLowest <= x <= 0, relative error below 3e-7: x = n + r with |r| <= 1/2, and exp(r ln 2) by its Taylor
/// polynomial.
inline float rough_exp2(float x) noexcept {
  constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  constexpr double a = 0.69314718055994531;
  constexpr float c1 = float(a), c2 = float(a * a / 2), c3 = float(a * a * a / 6), c4 = float(a * a * a * a / 24),
                  c5 = float(a * a * a * a * a / 120), c6 = float(a * a * a * a * a * a / 720);
  const float n = (x + kToInteger) - kToInteger;
  const float r = x - n;
  const float p = 1.0f + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6)))));
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

/// Rough weights exp((logit - best) / temperature) of 256 logits.
template <std::floating_point Logit>
void rough_weights(std::span<const Logit, 256> logits, Logit best, Logit temperature,
                   std::span<float, 256> weights) noexcept {
  constexpr double kLog2E = 1.4426950408889634;
  // Finite, so that it is 0 times the best one's 0.
  const Logit scale = static_cast<Logit>(
      std::min<double>(kLog2E / static_cast<double>(temperature), std::numeric_limits<Logit>::max()));
  for (std::size_t i = 0; i < 256; ++i) {  // apart from the next loop, or the compiler makes branches of both
    const Logit exponent = (logits[i] - best) * scale;
    weights[i] = exponent > Logit{kLowest} ? static_cast<float>(exponent) : kLowest;
  }
  for (float& weight : weights) weight = rough_exp2(weight);
}

/// Sum of 256 weights: of every 16th in float, then of these.
inline double rough_sum(std::span<const float, 256> weights) noexcept {
  float lanes[16];
  for (std::size_t lane = 0; lane < 16; ++lane) {
    float sum = 0;
    for (std::size_t i = 0; i < 256; i += 16) sum += weights[i + lane];
    lanes[lane] = sum;
  }
  double total = 0;
  for (const float lane : lanes) total += lane;
  return total;
}

}  // namespace anabranch::impl
