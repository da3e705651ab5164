// Sampler and log-probabilities.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <anabranch/decode/sampler.hpp>
#include <anabranch/error.hpp>

namespace anabranch {

template <std::floating_point Logit>
TokenId BasicSampler<Logit>::operator()(std::span<const Logit> logits, const OutputSettings& settings) {
  if (settings.allowed.empty() && read(logits, settings)) return choose_of_all(settings);
  collect(logits, settings);
  if (settings.sampling.repetition_penalty != 1.0f) penalise(settings);
  return choose_of_candidates(settings);
}

[[noreturn]] inline void fail_empty(std::size_t n) {
  fail(Status::bad_logits, "no allowed token among " + std::to_string(n) + " has a finite logit");
}

inline bool greedy(const SamplingOptions& options) { return options.temperature == 0.0f || options.top_k == 1; }

// ---- everything is allowed: the logits stay where they are

/// With what is forbidden and penalised replaced. False: a penalty took a logit out of the finite numbers; candidates
/// keep apart which of the infinite ones may be chosen.
template <std::floating_point Logit>
bool BasicSampler<Logit>::read(std::span<const Logit> logits, const OutputSettings& settings) {
  blocks_.read(logits);
  const auto is_there = [&](TokenId token) { return token >= 0 && static_cast<std::size_t>(token) < logits.size(); };
  for (const TokenId token : settings.forbidden)
    if (is_there(token)) blocks_.replace(token, blocks_.kNever);
  const Logit penalty = settings.sampling.repetition_penalty;
  if (penalty != 1) {
    for (const TokenId token : settings.seen) {
      if (!is_there(token)) continue;
      const Logit logit = blocks_[token];
      // One that differs is forbidden, or was seen more than once and has been penalised.
      if (!std::isfinite(logit) || logit != logits[static_cast<std::size_t>(token)]) continue;
      const Logit penalised = logit > 0 ? logit / penalty : logit * penalty;
      if (!std::isfinite(penalised)) return false;
      blocks_.replace(token, penalised);
    }
  }
  blocks_.renew();
  return true;
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

/// Turns all logits into weights exp((logit - best) / temperature); their sum.
template <std::floating_point Logit>
double BasicSampler<Logit>::weigh_all(Logit best, Logit temperature) {
  weights_.resize(blocks_.n_blocks() * blocks_.kBlock);
  double total = 0;
  for (std::size_t b = 0; b < blocks_.n_blocks(); ++b) {
    const Logit* logits = blocks_.block(b);
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
  const double total = weigh_all(blocks_.largest(), settings.sampling.temperature);
  if (settings.sampling.top_p < 1.0f) {
    // Weights below this one cannot be in the nucleus: all of them together are less than what it leaves out. Half, so
    // that rounding cannot matter.
    const double least = 0.5 * (1.0 - settings.sampling.top_p) * total / static_cast<double>(weights_.size());
    candidates_.clear();
    for (std::size_t i = 0; i < weights_.size(); ++i)
      if (weights_[i] >= least && weights_[i] > 0) candidates_.push_back({weights_[i], static_cast<TokenId>(i)});
    return draw_nucleus(total, settings);
  }
  double left = uniform(settings.stream, settings.index) * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] <= 0) continue;
    last = i;
    left -= weights_[i];
    if (left < 0) break;
  }
  return static_cast<TokenId>(last);  // the last possible one when rounding ate the end
}

// ---- some are allowed: what may be chosen is copied

/// Candidates, by ascending id: allowed, not forbidden, with a finite logit.
template <std::floating_point Logit>
void BasicSampler<Logit>::collect(std::span<const Logit> logits, const OutputSettings& settings) {
  candidates_.clear();
  sorted_.assign(settings.forbidden.begin(), settings.forbidden.end());
  std::sort(sorted_.begin(), sorted_.end());
  auto forbidden = sorted_.begin();
  const auto consider = [&](TokenId token) {
    while (forbidden != sorted_.end() && *forbidden < token) ++forbidden;
    const Logit logit = logits[static_cast<std::size_t>(token)];
    impl::check_logit(token, logit);
    if (forbidden != sorted_.end() && *forbidden == token) return;
    if (std::isfinite(logit)) candidates_.push_back({logit, token});
  };
  const auto n = static_cast<TokenId>(logits.size());
  if (settings.allowed.empty()) {
    for (TokenId token = 0; token < n; ++token) consider(token);
  } else {
    allowed_.assign(settings.allowed.begin(), settings.allowed.end());
    std::sort(allowed_.begin(), allowed_.end());
    allowed_.erase(std::unique(allowed_.begin(), allowed_.end()), allowed_.end());
    for (const TokenId token : allowed_)
      if (token >= 0 && token < n) consider(token);
  }
  if (candidates_.empty()) fail_empty(logits.size());
}

template <std::floating_point Logit>
void BasicSampler<Logit>::penalise(const OutputSettings& settings) {
  sorted_.assign(settings.seen.begin(), settings.seen.end());
  std::sort(sorted_.begin(), sorted_.end());
  const Logit penalty = settings.sampling.repetition_penalty;
  for (Candidate& candidate : candidates_)
    if (std::binary_search(sorted_.begin(), sorted_.end(), candidate.token))
      candidate.logit = candidate.logit > 0 ? candidate.logit / penalty : candidate.logit * penalty;
}

template <std::floating_point Logit>
TokenId BasicSampler<Logit>::choose_of_candidates(const OutputSettings& settings) {
  if (greedy(settings.sampling)) {
    const auto best = std::max_element(candidates_.begin(), candidates_.end(),
                                       [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
    return best->token;  // the first of equals: the lowest id
  }
  keep_top_k(settings.sampling.top_k);
  return draw(settings);
}

template <std::floating_point Logit>
void BasicSampler<Logit>::keep_top_k(std::int32_t k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= candidates_.size()) return;
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  std::nth_element(candidates_.begin(), candidates_.begin() + (k - 1), candidates_.end(), likelier);
  candidates_.resize(static_cast<std::size_t>(k));
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

/// Turns logits into weights exp((logit - best) / temperature) and walks along them.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw(const OutputSettings& settings) {
  Logit best = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) best = std::max(best, candidate.logit);
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.logit = std::exp((candidate.logit - best) / settings.sampling.temperature);
    total += candidate.logit;
  }
  if (settings.sampling.top_p < 1.0f) return draw_nucleus(total, settings);
  double left = uniform(settings.stream, settings.index) * total;
  TokenId last = candidates_.front().token;
  for (const Candidate& candidate : candidates_) {
    if (candidate.logit <= 0) continue;
    last = candidate.token;
    left -= candidate.logit;
    if (left < 0) break;
  }
  return last;  // the last possible one when rounding ate the end
}

/// The nucleus is the shortest run of likeliest tokens whose weights reach top_p; a heap finds it without a full sort.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw_nucleus(double total, const OutputSettings& settings) {
  const auto lighter = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
  };
  std::make_heap(candidates_.begin(), candidates_.end(), lighter);
  double mass = 0;
  auto end = candidates_.end();
  do {
    std::pop_heap(candidates_.begin(), end, lighter);
    --end;
    mass += end->logit;
  } while (end != candidates_.begin() && mass < settings.sampling.top_p * total);
  double left = uniform(settings.stream, settings.index) * mass;
  for (auto it = candidates_.end(); it != end;) {  // likeliest first
    --it;
    left -= it->logit;
    if (left < 0) return it->token;
  }
  return candidates_.back().token;
}

inline void check(const SamplingOptions& o) {
  const auto bad = [](const char* name, float value, const char* limit) {
    fail(Status::bad_request, std::string(name) + " is " + std::to_string(value) + "; it must be " + limit);
  };
  if (!(o.temperature >= 0.0f) || !std::isfinite(o.temperature)) bad("temperature", o.temperature, "finite and >= 0");
  if (!(o.top_p > 0.0f && o.top_p <= 1.0f)) bad("top_p", o.top_p, "in (0, 1]");
  if (!(o.repetition_penalty > 0.0f) || !std::isfinite(o.repetition_penalty))
    bad("repetition_penalty", o.repetition_penalty, "finite and > 0");
  if (o.top_k < 0) fail(Status::bad_request, "top_k is " + std::to_string(o.top_k) + "; it must be >= 0");
}

template <std::floating_point Logit>
std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const Logit> logits, TokenId token,
                                                                     std::int32_t n) {
  // Also those that no constraint allowed, which the sampler has not looked at: they are part of the sum.
  for (std::size_t i = 0; i < logits.size(); ++i) impl::check_logit(static_cast<TokenId>(i), logits[i]);
  const Logit best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const Logit logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  const double log_sum = best + std::log(sum);
  const auto value = [&](TokenId t) { return static_cast<float>(logits[static_cast<std::size_t>(t)] - log_sum); };
  std::vector<TokenId> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<TokenId>(i);
  const auto n_top = std::min(static_cast<std::size_t>(n), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n_top), order.end(),
                    [&](TokenId a, TokenId b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  std::vector<TokenLogProbability> top;
  for (std::size_t i = 0; i < n_top; ++i) top.push_back({order[i], value(order[i])});
  return {value(token), std::move(top)};
}

}  // namespace anabranch
