// A sampler of one's own: min-p (arXiv 2407.01082). It keeps the tokens that are at least `p` times as likely as the
// likeliest one, and picks among them by their probabilities.
//
// A sampler depends on its arguments alone. Its random number is uniform(stream, index), so that an answer does not
// depend on the batch that it is decoded in.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <anabranch/decode/sampler.hpp>

class MinP {
 public:
  explicit MinP(double p) : p_(p) {}

  anabranch::TokenId operator()(std::span<const float> logits, const anabranch::OutputSettings& settings) {
    const auto has = [](std::span<const anabranch::TokenId> list, anabranch::TokenId token) {
      return std::find(list.begin(), list.end(), token) != list.end();
    };
    weights_.clear();
    for (const float logit : logits) {
      const auto token = static_cast<anabranch::TokenId>(weights_.size());
      const bool may = (settings.allowed.empty() || has(settings.allowed, token)) && !has(settings.forbidden, token);
      weights_.push_back(may ? std::exp(logit / settings.sampling.temperature) : 0.0);
    }
    const double least = p_ * *std::max_element(weights_.begin(), weights_.end());
    double total = 0;
    for (double& weight : weights_) total += weight = weight < least ? 0.0 : weight;
    double left = anabranch::uniform(settings.stream, settings.index) * total;
    anabranch::TokenId last = anabranch::kUnknownToken;  // no finite logit: the decoder refuses it
    for (std::size_t i = 0; i < weights_.size() && left >= 0; ++i) {
      if (weights_[i] <= 0) continue;
      last = static_cast<anabranch::TokenId>(i);
      left -= weights_[i];
    }
    return last;
  }

 private:
  double p_;
  std::vector<double> weights_;  // kept for its memory
};
static_assert(anabranch::SamplerLike<MinP>);
