// Sampler: biases and penalties, which change the logits of a few tokens before anything else.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <anabranch/decode/sampler.hpp>
#include <anabranch/error.hpp>

namespace anabranch {

namespace impl {

/// Does the branch's past change a logit?
inline bool penalises(const Sampling& s) noexcept {
  return s.repetition_penalty != 1.0f || s.frequency_penalty != 0.0f || s.presence_penalty != 0.0f;
}

}  // namespace impl

/// Collects the tokens whose logits change. O(n log n) in those that are seen.
template <std::floating_point Logit>
void BasicSampler<Logit>::read_changes(const OutputSettings& settings, std::size_t n_logits) {
  changes_.clear();
  for (const LogitBias& bias : settings.logit_bias) {
    if (bias.token < 0 || impl::index_of(bias.token) >= n_logits)
      fail(Status::bad_logits, "a bias is on token ", bias.token, "; there are ", n_logits, " logits");
    changes_.push_back({bias.token, 0, bias.bias});
  }
  if (impl::penalises(settings.sampling)) {
    sorted_.assign(settings.seen.begin(), settings.seen.end());
    std::sort(sorted_.begin(), sorted_.end());
    for (auto token = sorted_.begin(); token != sorted_.end();) {
      const auto next = std::upper_bound(token, sorted_.end(), *token);
      if (!impl::has(settings.spared, *token))
        changes_.push_back({*token, static_cast<std::int32_t>(next - token), 0.0f});
      token = next;
    }
  }
  if (settings.logit_bias.empty()) return;  // sorted already, and without doubles
  std::sort(changes_.begin(), changes_.end(), [](const Change& a, const Change& b) { return a.token < b.token; });
  std::size_t n = 0;
  for (const Change& change : changes_) {  // a token is there twice at most: biased, and seen
    if (n > 0 && changes_[n - 1].token == change.token) {
      changes_[n - 1].n_seen += change.n_seen;
      changes_[n - 1].bias += change.bias;
    } else {
      changes_[n++] = change;
    }
  }
  changes_.resize(n);
}

/// The logit of a token after its bias and penalties. Each is computed in Logit, as llama.cpp and transformers do.
template <std::floating_point Logit>
Logit BasicSampler<Logit>::changed(TokenId token, Logit logit, const Sampling& sampling) const {
  const auto change = std::lower_bound(changes_.begin(), changes_.end(), token,
                                       [](const Change& c, TokenId wanted) { return c.token < wanted; });
  if (change == changes_.end() || change->token != token || !std::isfinite(logit)) return logit;
  Logit now = logit + static_cast<Logit>(change->bias);
  if (change->n_seen > 0) {
    const Logit penalty = sampling.repetition_penalty;
    if (penalty != 1) now = now > 0 ? now / penalty : now * penalty;
    const auto n = static_cast<Logit>(change->n_seen);
    if (sampling.frequency_penalty != 0.0f) now -= n * static_cast<Logit>(sampling.frequency_penalty);
    if (sampling.presence_penalty != 0.0f) now -= static_cast<Logit>(sampling.presence_penalty);
  }
  if (!(now < std::numeric_limits<Logit>::infinity()))
    fail(Status::bad_logits, "the logit of token ", token, ", ", logit, ", becomes ", now,
         " by its bias and penalties, too large for a number; make these smaller");
  return now;
}

}  // namespace anabranch
