// Sampler: picks a token from logits: greedy, temperature, top-k, top-p, min-p, penalties, biases, allowed and
// forbidden tokens.
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
  Sampling sampling;
  StreamKey stream{};                  ///< with `index` the whole random state: uniform(stream, index)
  std::int64_t index = 0;              ///< tokens that the branch has sampled before
  std::span<const TokenId> allowed;    ///< nothing else; empty: everything
  std::span<const TokenId> forbidden;  ///< none of these
  /// The answer's tokens that the branch sees: the penalties are on them. Of a plan empty where neither a penalty,
  /// no_repeat_ngram, a hook nor a sampler of the caller's own looks at them.
  std::span<const TokenId> seen;
  std::span<const TokenId> spared = {};  ///< exempt from the penalties, though seen
  std::span<const LogitBias> logit_bias = {};
};

/// Picks a token of [0, logits.size()), obeying `allowed` and `forbidden`. Must depend on its arguments alone. Write
/// one for another distribution than the built-in ones (examples/custom_markup/min_p.hpp).
template <class S>
concept SamplerLike = requires(S& sampler, std::span<const float> logits, const OutputSettings& settings) {
  { sampler(logits, settings) } -> std::same_as<TokenId>;
};

/// The built-in sampler. In this order: constraint, logit bias, repetition penalty (logit / penalty if positive, else *
/// penalty: CTRL, arXiv 1909.05858), frequency and presence penalty, temperature, top-k, top-p (nucleus, arXiv
/// 1904.09751), min-p (arXiv 2407.01082), draw. Ties go to the lower id. Penalties and biases that turn a logit into
/// +infinity or NaN are refused; a token of weight 0 is never drawn.
/// It is a template so that programs which do not sample do not compile it.
template <std::floating_point Logit>
class BasicSampler {
 public:
  /// Throws bad_logits when no allowed token has a finite logit, a logit is NaN or +infinity, becomes so by a bias or a
  /// penalty, or a biased token is none of these. Reads the vocabulary once when greedy or with top-k, else once more
  /// for the weights; copies only the blocks of forbidden, biased and penalised tokens. O(allowed log allowed) when
  /// only some are allowed. Its memory is kept from call to call.
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
  // sampler_changes.hpp
  void read_changes(const OutputSettings& settings, std::size_t n_logits);
  Logit changed(TokenId token, Logit logit, const Sampling& sampling) const;
  // sampler_of_all.hpp
  void read(std::span<const Logit> logits, const OutputSettings& settings);
  TokenId choose_of_all(const OutputSettings& settings);
  TokenId draw_of_all(const OutputSettings& settings);
  double weigh_all(Logit best, Logit temperature);
  void collect_heavy(double total, const Sampling& sampling);
  void collect_likely(const Sampling& sampling);
  TokenId draw_exactly(double left) const;
  double sum_roughly(Logit best, Logit temperature);
  TokenId draw_roughly(double u, double total, Logit temperature) const;
  // sampler.hpp
  void collect(std::span<const Logit> logits, const OutputSettings& settings);
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
  /// The bias of a token, and how often it was seen, unless it is spared.
  struct Change {
    float bias = 0;
    std::int32_t n_seen = 0;
  };
  std::vector<Change> changes_;   // [most logits so far]
  std::vector<TokenId> changed_;  // those that are not as by default, ascending
};
using Sampler = BasicSampler<float>;

/// Throws bad_request, naming the value, when an option makes no sense.
void check(const Sampling& sampling);
/// Likewise for a negative token, one that is there twice, and a bias that is NaN or +infinity.
void check(std::span<const LogitBias> biases);

/// Natural log-probabilities under the plain softmax of `logits`: of `token`, and of the `n` likeliest tokens. Throws
/// bad_logits when any logit is NaN or +infinity.
template <std::floating_point Logit>
std::pair<float, std::vector<TokenLogProbability>> log_probabilities(std::span<const Logit> logits, TokenId token,
                                                                     std::int32_t n);

}  // namespace anabranch

#include <anabranch/decode/impl/sampler.hpp>
