// Sampler: picks among candidates, which are copied: the allowed tokens, or the k likeliest of all.
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
  read_changes(settings, logits.size());
  if (settings.allowed.empty()) {
    read(logits, settings);
    return choose_of_all(settings);
  }
  collect(logits, settings);
  return choose_of_candidates(settings);
}

[[noreturn]] inline void fail_empty(std::size_t n) {
  fail(Status::bad_logits, "no allowed token among ", n, " has a finite logit");
}

inline bool greedy(const Sampling& sampling) { return sampling.temperature == 0.0f || sampling.top_k == 1; }

/// Collects the candidates by ascending id: allowed, not forbidden, with a finite logit, which is biased and penalised.
template <std::floating_point Logit>
void BasicSampler<Logit>::collect(std::span<const Logit> logits, const OutputSettings& settings) {
  candidates_.clear();
  sorted_.assign(settings.forbidden.begin(), settings.forbidden.end());
  std::sort(sorted_.begin(), sorted_.end());
  auto forbidden = sorted_.begin();
  const auto consider = [&](TokenId token) {
    while (forbidden != sorted_.end() && *forbidden < token) ++forbidden;
    const Logit own = logits[impl::index_of(token)];
    impl::check_logit(token, own);
    if (forbidden != sorted_.end() && *forbidden == token) return;
    const Logit logit = changed(token, own, settings.sampling);
    if (std::isfinite(logit)) candidates_.push_back({logit, token});
  };
  const auto n = static_cast<TokenId>(logits.size());
  allowed_.assign(settings.allowed.begin(), settings.allowed.end());
  std::sort(allowed_.begin(), allowed_.end());
  allowed_.erase(std::unique(allowed_.begin(), allowed_.end()), allowed_.end());
  for (const TokenId token : allowed_)
    if (token >= 0 && token < n) consider(token);
  if (candidates_.empty()) fail_empty(logits.size());
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
  if (k <= 0 || k >= std::ssize(candidates_)) return;
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  std::nth_element(candidates_.begin(), candidates_.begin() + (k - 1), candidates_.end(), likelier);
  candidates_.erase(candidates_.begin() + k, candidates_.end());
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

/// Turns logits into weights exp((logit - best) / temperature), of which the largest is 1, and walks along them.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw(const OutputSettings& settings) {
  Logit best = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) best = std::max(best, candidate.logit);
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.logit = std::exp((candidate.logit - best) / settings.sampling.temperature);
    total += candidate.logit;
  }
  if (settings.sampling.top_p < 1.0f) return draw_nucleus(exactly(total), settings);
  if (settings.sampling.min_p > 0.0f) {
    total = 0;
    for (Candidate& candidate : candidates_) {
      if (candidate.logit < settings.sampling.min_p) candidate.logit = 0;
      total += candidate.logit;
    }
  }
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
/// Of it those count that min-p leaves.
template <std::floating_point Logit>
TokenId BasicSampler<Logit>::draw_nucleus(Sum total, const OutputSettings& settings) {
  const auto lighter = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
  };
  double mass = 0;
  const auto reached = [&] {
    if (mass < settings.sampling.top_p * total.least) return false;
    if (!(mass < settings.sampling.top_p * total.most)) return true;
    total = exactly(weigh_all(blocks_.largest(), settings.sampling.temperature));
    return !(mass < settings.sampling.top_p * total.least);
  };
  std::make_heap(candidates_.begin(), candidates_.end(), lighter);
  auto end = candidates_.end();
  do {
    std::pop_heap(candidates_.begin(), end, lighter);
    if ((end - 1)->logit < settings.sampling.min_p) break;
    --end;
    mass += end->logit;
  } while (end != candidates_.begin() && !reached());
  double left = uniform(settings.stream, settings.index) * mass;
  for (auto it = candidates_.end(); it != end;) {  // likeliest first
    --it;
    left -= it->logit;
    if (left < 0) return it->token;
  }
  return candidates_.back().token;
}

inline void check(const Sampling& o) {
  const auto bad = [](const char* name, float value, const char* limit) {
    fail(Status::bad_request, name, " is ", value, "; it must be ", limit);
  };
  if (!(o.temperature >= 0.0f) || !std::isfinite(o.temperature)) bad("temperature", o.temperature, "finite and >= 0");
  if (!(o.top_p > 0.0f && o.top_p <= 1.0f)) bad("top_p", o.top_p, "in (0, 1]");
  if (!(o.min_p >= 0.0f && o.min_p <= 1.0f)) bad("min_p", o.min_p, "in [0, 1]");
  if (!(o.repetition_penalty > 0.0f) || !std::isfinite(o.repetition_penalty))
    bad("repetition_penalty", o.repetition_penalty, "finite and > 0");
  if (!std::isfinite(o.frequency_penalty)) bad("frequency_penalty", o.frequency_penalty, "finite");
  if (!std::isfinite(o.presence_penalty)) bad("presence_penalty", o.presence_penalty, "finite");
  if (o.top_k < 0) fail(Status::bad_request, "top_k is ", o.top_k, "; it must be >= 0");
}

inline void check(std::span<const LogitBias> biases) {
  std::vector<TokenId> tokens;
  for (const LogitBias& bias : biases) {
    if (bias.token < 0) fail(Status::bad_request, "logit_bias is on token ", bias.token, "; it must be >= 0");
    if (!(bias.bias < std::numeric_limits<float>::infinity()))
      fail(Status::bad_request, "logit_bias of token ", bias.token, " is ", bias.bias,
           "; it must be a number below infinity");
    tokens.push_back(bias.token);
  }
  std::sort(tokens.begin(), tokens.end());
  const auto twice = std::adjacent_find(tokens.begin(), tokens.end());
  if (twice != tokens.end()) fail(Status::bad_request, "logit_bias names token ", *twice, " more than once");
}

}  // namespace anabranch

#include <anabranch/decode/impl/log_probabilities.hpp>
#include <anabranch/decode/impl/sampler_changes.hpp>
#include <anabranch/decode/impl/sampler_of_all.hpp>
