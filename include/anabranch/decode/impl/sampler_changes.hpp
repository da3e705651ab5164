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

/// Notes the tokens whose logits change. O(seen + u log u) for u different ones.
template <std::floating_point Logit>
void BasicSampler<Logit>::read_changes(const OutputSettings& settings, std::size_t n_logits) {
  for (const TokenId token : changed_) changes_[impl::index_of(token)] = {};
  changed_.clear();
  const bool penalises = impl::penalises(settings.sampling);
  if (settings.logit_bias.empty() && !penalises) return;
  if (changes_.size() < n_logits) changes_.resize(n_logits);
  changed_.reserve(std::min(n_logits, settings.logit_bias.size() + settings.seen.size()));
  for (const LogitBias& bias : settings.logit_bias) {
    if (bias.token < 0 || impl::index_of(bias.token) >= n_logits)
      fail(Status::bad_logits, "a bias is on token ", bias.token, "; there are ", n_logits, " logits");
    changed_.push_back(bias.token);
    changes_[impl::index_of(bias.token)].bias = bias.bias;
  }
  if (penalises) {
    for (const TokenId token : settings.seen) {
      if (token < 0 || impl::index_of(token) >= n_logits) continue;
      Change& change = changes_[impl::index_of(token)];
      if (change.n_seen++ == 0) changed_.push_back(token);
    }
    for (const TokenId token : settings.spared)
      if (token >= 0 && impl::index_of(token) < n_logits) changes_[impl::index_of(token)].n_seen = 0;
  }
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());  // a biased one that was seen
}

/// The logit of a token after its bias and penalties. Each is computed in Logit, as llama.cpp and transformers do.
template <std::floating_point Logit>
Logit BasicSampler<Logit>::changed(TokenId token, Logit logit, const Sampling& sampling) const {
  if (changed_.empty() || !std::isfinite(logit)) return logit;
  const Change* const change = &changes_[impl::index_of(token)];
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
