// Sampler: picks a token from logits: greedy, temperature, top-k, top-p, repetition penalty, allowed and forbidden
// tokens.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/logit_blocks.hpp>
#include <anabranch/decode/random.hpp>
#include <anabranch/decode/request.hpp>

namespace anabranch {

/// All that decides one output's token, besides its logits. Hosts that sample on their own device read it from the
/// decoder's plan. Spans are borrowed until commit or abort.
struct OutputSettings {
  RequestId request = kNoRequest;
  std::uint64_t user_data = 0;  ///< the request's
  BranchIndex branch = kTrunk;
  SamplingOptions sampling;
  StreamKey stream{};                  ///< with `index` the whole random state: uniform(stream, index)
  std::int64_t index = 0;              ///< tokens that the branch has sampled before
  std::span<const TokenId> allowed;    ///< nothing else; empty: everything
  std::span<const TokenId> forbidden;  ///< none of these
  /// The answer's tokens that the branch sees: the repetition penalty is on them. Of a plan empty where neither
  /// repetition_penalty, no_repeat_ngram, a hook nor a sampler of the caller's own looks at them.
  std::span<const TokenId> seen;
  std::span<const TokenId> spared = {};  ///< exempt from the repetition penalty, though seen
};

/// Picks a token of [0, logits.size()), obeying `allowed` and `forbidden`. Must depend on its arguments alone. Write
/// one for another distribution than the built-in ones (examples/custom_markup/min_p.hpp).
template <class S>
concept SamplerLike = requires(S& sampler, std::span<const float> logits, const OutputSettings& settings) {
  { sampler(logits, settings) } -> std::same_as<TokenId>;
};

/// The built-in sampler. In this order: constraint, repetition penalty (logit / penalty if positive, else * penalty:
/// CTRL, arXiv 1909.05858), temperature, top-k, top-p (nucleus, arXiv 1904.09751), draw. Ties go to the lower id.
/// It is a template so that programs which do not sample do not compile it.
template <std::floating_point Logit>
class BasicSampler {
 public:
  /// Throws bad_logits when no allowed token has a finite logit, or a logit is NaN or +infinity. Reads the vocabulary
  /// once when greedy or with top-k, else once more for the weights; copies only the blocks of forbidden and penalised
  /// tokens. O(allowed log allowed) when only some are allowed. Its memory is kept from call to call.
  TokenId operator()(std::span<const Logit> logits, const OutputSettings& settings);

 private:
  struct Candidate {
    Logit logit;
    TokenId token;
  };
  /// Bounds of a sum of weights.
  struct Sum {
    double least, most;
  };
  static Sum exactly(double sum) noexcept { return {sum, sum}; }
  // sampler_of_all.hpp
  bool read(std::span<const Logit> logits, const OutputSettings& settings);
  TokenId choose_of_all(const OutputSettings& settings);
  TokenId draw_of_all(const OutputSettings& settings);
  double weigh_all(Logit best, Logit temperature);
  void collect_heavy(double total, const SamplingOptions& options);
  TokenId draw_exactly(double left) const;
  double sum_roughly(Logit best, Logit temperature);
  TokenId draw_roughly(double u, double total, Logit temperature) const;
  // sampler.hpp
  void collect(std::span<const Logit> logits, const OutputSettings& settings);
  void penalise(const OutputSettings& settings);
  TokenId choose_of_candidates(const OutputSettings& settings);
  void keep_top_k(std::int32_t k);
  TokenId draw(const OutputSettings& settings);
  TokenId draw_nucleus(Sum total, const OutputSettings& settings);

  // Kept from call to call for their memory alone.
  impl::LogitBlocks<Logit> blocks_;
  std::vector<Logit> weights_;  // [n_blocks][256] of all tokens, when rough ones do not tell
  std::vector<double> sums_;    // [n_blocks] of rough weights
  std::vector<Candidate> candidates_;
  std::vector<TokenId> sorted_, allowed_;
};
using Sampler = BasicSampler<float>;

/// Throws bad_request, naming the value, when an option makes no sense.
void check(const SamplingOptions& options);

/// Natural log-probabilities under the plain softmax of `logits`: of `token`, and of the `n` likeliest tokens. Throws
/// bad_logits when any logit is NaN or +infinity.
template <std::floating_point Logit>
std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const Logit> logits, TokenId token,
                                                                     std::int32_t n);

}  // namespace anabranch

#include <anabranch/decode/impl/sampler.hpp>
