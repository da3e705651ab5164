// Sampler: picks among all tokens, where everything is allowed; the logits are not copied.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <anabranch/decode/impl/rough_weights.hpp>
#include <anabranch/decode/sampler.hpp>

namespace anabranch {

/// Reads the logits and replaces those of tokens that are forbidden, biased or penalised.
template <std::floating_point Logit>
void BasicSampler<Logit>::read(std::span<const Logit> logits, const OutputSettings& settings) {
  blocks_.read(logits);
  const auto is_there = [&](TokenId token) { return token >= 0 && impl::index_of(token) < logits.size(); };
  for (const TokenId token : settings.forbidden)
    if (is_there(token)) blocks_.replace(token, blocks_.kNever);
  for (const TokenId token : changed_) {
    const Logit before = blocks_[token], now = changed(token, before, settings.sampling);
    if (now != before) blocks_.replace(token, now);
  }
  blocks_.renew();
}

template <std::floating_point Logit>
TokenId BasicSampler<Logit>::choose_of_all(const OutputSettings& settings) {
  const Logit best = blocks_.largest();
  if (best == blocks_.kNever) fail_empty(blocks_.size());
  if (greedy(settings.sampling)) return blocks_.first(best);
  if (settings.sampling.top_k <= 0) return draw_of_all(settings);
  candidates_.clear();
  blocks_.for_each_from(blocks_.reached_by(static_cast<std::size_t>(settings.sampling.top_k)),
                        [&](TokenId token, Logit logit) {
                          candidates_.push_back({logit, token});
                        });
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  return choose_of_candidates(settings);
}

/// Turns all logits into weights exp((logit - best) / temperature), one after the other; their sum.
template <std::floating_point Logit>
double BasicSampler<Logit>::weigh_all(Logit best, Logit temperature) {
  weights_.resize(blocks_.n_blocks() * blocks_.kBlock);
  double total = 0;
  for (std::size_t b = 0; b < blocks_.n_blocks(); ++b) {
    const std::span<const Logit, 256> logits = blocks_.block(b);
    Logit* weights = weights_.data() + b * blocks_.kBlock;
    for (std::size_t i = 0; i < blocks_.kBlock; ++i) {
      weights[i] = std::exp((logits[i] - best) / temperature);
      total += weights[i];
    }
  }
  return total;
}

template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw_of_all(const OutputSettings& settings) {
  const Logit best = blocks_.largest(), temperature = settings.sampling.temperature;
  const double sum = sum_roughly(best, temperature);
  if (settings.sampling.top_p < 1.0f) {
    const Sum total{sum * (1 - impl::kRoughError), sum * (1 + impl::kRoughError)};
    collect_heavy(total.least, settings.sampling);
    return draw_nucleus(total, settings);
  }
  if (settings.sampling.min_p > 0.0f) {
    collect_likely(settings.sampling);
    return draw(settings);
  }
  const double u = uniform(settings.stream, settings.index);
  const TokenId token = draw_roughly(u, sum, temperature);
  return token != kNone ? token : draw_exactly(u * weigh_all(best, temperature));
}

/// Collects the tokens that can be in the nucleus, with their weights. The others weigh less than `least` each, and all
/// of them together less than the nucleus excludes: half of it, so that rounding cannot matter.
template <std::floating_point Logit>
void BasicSampler<Logit>::collect_heavy(double total, const Sampling& sampling) {
  const Logit best = blocks_.largest(), temperature = sampling.temperature;
  const double least = 0.5 * (1.0 - sampling.top_p) * total / static_cast<double>(blocks_.size());
  const double from = std::max<double>(best + temperature * std::log(least), std::numeric_limits<Logit>::lowest());
  candidates_.clear();
  blocks_.for_each_from(static_cast<Logit>(from), [&](TokenId token, Logit logit) {
    candidates_.push_back({std::exp((logit - best) / temperature), token});
  });
}

/// Collects the tokens that min-p can leave, and some that it does not, with their logits.
template <std::floating_point Logit>
void BasicSampler<Logit>::collect_likely(const Sampling& sampling) {
  const Logit best = blocks_.largest();
  const double least = static_cast<double>(sampling.temperature) * std::log(0.5 * sampling.min_p);
  const double from = std::max<double>(best + least, std::numeric_limits<Logit>::lowest());
  candidates_.clear();
  blocks_.for_each_from(static_cast<Logit>(from), [&](TokenId token, Logit logit) {
    candidates_.push_back({logit, token});
  });
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

/// The first token at which the weights reach `left`.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw_exactly(double left) const {
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] <= 0) continue;
    last = i;
    left -= weights_[i];
    if (left < 0) break;
  }
  return static_cast<TokenId>(last);  // the last possible one when rounding ate the end
}

/// Sum of all rough weights, and of each block in sums_.
template <std::floating_point Logit>
double BasicSampler<Logit>::sum_roughly(Logit best, Logit temperature) {
  sums_.resize(blocks_.n_blocks());
  double total = 0;
  std::array<float, 256> weights;
  for (std::size_t b = 0; b < blocks_.n_blocks(); ++b) {
    impl::rough_weights<Logit>(blocks_.block(b), best, temperature, weights);
    total += sums_[b] = impl::rough_sum(weights);
  }
  return total;
}

/// The token that `draw_exactly` gives, found from the rough sums; kNone when it is too close to a border to tell.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw_roughly(double u, double total, Logit temperature) const {
  const double target = u * total;
  const double doubt = 2 * impl::kRoughError * total;  // of the target, and of the border
  double before = 0;
  std::size_t b = 0;
  while (b < sums_.size() && before + sums_[b] <= target) before += sums_[b++];
  if (b == sums_.size()) return kNone;
  std::array<float, 256> weights;
  impl::rough_weights<Logit>(blocks_.block(b), blocks_.largest(), temperature, weights);
  for (std::size_t i = 0; i < weights.size(); before += weights[i++]) {
    if (before + weights[i] <= target) continue;
    const bool sure = target - before > doubt && before + weights[i] - target > doubt;
    return sure ? static_cast<TokenId>(b * blocks_.kBlock + i) : kNone;
  }
  return kNone;
}

}  // namespace anabranch
