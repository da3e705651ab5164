// Log-probabilities of the sampled token and of the likeliest ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <anabranch/decode/sampler.hpp>

namespace anabranch {

namespace impl {

/// Tokens that hold the n with the largest log-probabilities, and few others. Two logits can have the same
/// log-probability once it is rounded to float; then the lower token counts, so some below the n-th logit are needed.
template <std::floating_point Logit>
std::vector<TokenId> likely_tokens(LogitBlocks<Logit>& blocks, std::size_t n, double log_sum) {
  std::vector<TokenId> tokens;
  const Logit reached = n > 0 ? blocks.reached_by(n) : blocks.kNever;
  if (reached == blocks.kNever) {
    for (std::size_t i = 0; n > 0 && i < blocks.size(); ++i) tokens.push_back(static_cast<TokenId>(i));
    return tokens;
  }
  const double rounding = 2 * std::abs(reached - log_sum) * std::numeric_limits<float>::epsilon();
  const double lowest = std::max<double>(reached - rounding, std::numeric_limits<Logit>::lowest());
  const Logit from = std::nextafter(static_cast<Logit>(lowest), blocks.kNever);
  blocks.for_each_from(from, [&](TokenId token, Logit) { tokens.push_back(token); });
  return tokens;
}

}  // namespace impl

template <std::floating_point Logit>
std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const Logit> logits, TokenId token,
                                                                     std::int32_t n) {
  // Reads all logits, also those that no constraint allowed: the sampler has not checked them, and the sum needs them.
  impl::LogitBlocks<Logit> blocks;
  blocks.read(logits);
  const Logit best = blocks.largest();
  double sum = 0;
  for (const Logit logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  const double log_sum = best + std::log(sum);
  const auto value = [&](TokenId t) { return static_cast<float>(logits[impl::index_of(t)] - log_sum); };
  const auto n_top = std::min(static_cast<std::size_t>(n), logits.size());
  std::vector<TokenId> order = impl::likely_tokens(blocks, n_top, log_sum);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n_top), order.end(),
                    [&](TokenId a, TokenId b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  std::vector<TokenLogProbability> top;
  for (std::size_t i = 0; i < n_top; ++i) top.push_back({order[i], value(order[i])});
  return {value(token), std::move(top)};
}

}  // namespace anabranch
