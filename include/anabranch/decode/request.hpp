// Options of requests and decoders: how to sample, when to stop, what to report.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/decode/row_costs.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Names a request of one decoder; never used again.
enum class RequestId : std::uint64_t {};
inline constexpr RequestId kNoRequest{0};

/// Number of a branch inside its request, in the order of the forks: 0 is the trunk, branches count from 1.
using BranchIndex = std::int32_t;
inline constexpr BranchIndex kTrunk = 0;

/// One step of a branch's path from the trunk: branch `branch` of its parent's block `block`, both from 0.
struct PathStep {
  std::int32_t block = 0;
  std::int32_t branch = 0;
  friend constexpr bool operator==(const PathStep&, const PathStep&) = default;
};

/// How a token is chosen, with every number stated. The penalties are on the answer's tokens that the branch sees, not
/// on the prompt's. docs/decoding.md has their order and formulas.
struct Sampling {
  float temperature = 0.0f;         ///< 0: greedy
  std::int32_t top_k = 0;           ///< only the k likeliest tokens; 0: all
  float top_p = 1.0f;               ///< only the likeliest tokens that together reach this probability
  float min_p = 0.0f;               ///< only tokens that are at least this many times as likely as the likeliest
  float repetition_penalty = 1.0f;  ///< a seen token's logit is divided by it if positive, else multiplied
  float frequency_penalty = 0.0f;   ///< taken off a token's logit for each time that it was seen
  float presence_penalty = 0.0f;    ///< taken off a token's logit once, if it was seen
  std::uint64_t seed = 0;
  std::uint64_t number = 0;  ///< requests with one seed and different numbers draw different random numbers
};

/// A caller's wishes for it. The rest is up to the runner: `generate` takes it from the model's generation_config.json,
/// a decoder from the defaults of Sampling.
struct SamplingOptions {
  std::optional<float> temperature = {};
  std::optional<std::int32_t> top_k = {};
  std::optional<float> top_p = {};
  std::optional<float> min_p = {};
  std::optional<float> repetition_penalty = {};
  std::optional<float> frequency_penalty = {};
  std::optional<float> presence_penalty = {};
  std::uint64_t seed = 0;
  std::uint64_t number = 0;

  /// With what is not said from `defaults`.
  Sampling or_else(const Sampling& defaults = {}) const noexcept {
    return {temperature.value_or(defaults.temperature),
            top_k.value_or(defaults.top_k),
            top_p.value_or(defaults.top_p),
            min_p.value_or(defaults.min_p),
            repetition_penalty.value_or(defaults.repetition_penalty),
            frequency_penalty.value_or(defaults.frequency_penalty),
            presence_penalty.value_or(defaults.presence_penalty),
            seed,
            number};
  }
};

/// A number that is added to the logit of a token before anything else; -infinity: the token is never sampled.
struct LogitBias {
  TokenId token = kUnknownToken;
  float bias = 0.0f;
};

/// Describes to a logit hook the branch (or trunk) whose next token is about to be sampled.
struct HookContext {
  RequestId request = kNoRequest;
  BranchIndex branch = kTrunk;
  std::span<const PathStep> path;
  std::int64_t index = 0;         ///< tokens that the branch has sampled before
  std::span<const TokenId> seen;  ///< the answer's tokens that the branch sees
  std::uint64_t user_data = 0;    ///< the request's
};
/// Changes one branch's logits [vocabulary] before sampling, by its arguments alone. Called again, with the same ones,
/// if the commit fails and is repeated, and where drafts were right that could not be used.
using LogitHook = std::function<void(const HookContext&, std::span<float>)>;

/// Options of one request. A limit that is kNone is the decoder's (of `generate`: the runner's).
struct RequestOptions {
  SamplingOptions sampling = {};
  std::vector<LogitBias> logit_bias = {};  ///< each token once
  /// The request ends where a branch writes one of these; the text is cut before it. A text that is the name of a
  /// special token (`<|im_end|>`) means that token too, where the decoder's Text knows the names (FindsStopTokens).
  std::vector<std::string> stop = {};
  std::vector<TokenId> stop_tokens = {};       ///< likewise; not fed. Tokens that end a text anyway go on to do that
  std::int32_t max_tokens = kNone;             ///< tokens that the request may sample, branches included
  std::int32_t max_branch_tokens = kNone;      ///< tokens that one branch may sample
  std::int32_t max_parallel_branches = kNone;  ///< branches decoded at once, the others wait; kNone: max_branches
  std::int32_t n_log_probabilities = kNone;    ///< report the sampled token's and those of the n likeliest; kNone: none
  std::int32_t no_repeat_ngram = kNone;  ///< n: no n tokens in a row come twice, tags aside; 0: they may; kNone: as the
                                         ///< runner has it, a decoder: they may
  LogitHook hook = {};
  RequestId after = kNoRequest;  ///< continue the history of this finished request
  /// Start from what this sequence of the cache sees, which is not computed again. The request's first pass forks it
  /// and detaches the fork: the sequence stays its owner's, who must leave it as it is until then and is free to do
  /// anything with it afterwards. When it is gone then, or has another length or next position, the request ends as
  /// `lost`; other tokens of the same length are not noticed. The prompt follows at its next position.
  SequenceId prefix = kNoSequence;
  /// The request ends, with reason `limit`, when its prompt has been computed: nothing is sampled, and the markup is
  /// not asked. The trunk's sequence is then the prefix of others, for as long as the request is not released.
  bool prefill_only = false;
  std::uint64_t user_data = 0;  ///< the caller's own; comes back in events, outputs and hooks
  /// Where the decoder uses a prefix cache: begin with what it has of the prompt, and leave the history to it when the
  /// request is released. Not done for a request with a `prefix`, whose tokens the decoder does not know.
  bool reuse_prefix = true;
};

/// Options of all requests of a decoder.
struct DecoderOptions {
  std::int32_t max_branches = 8;                ///< branches of a request that are decoded at once; the others wait
  std::int32_t max_tokens = 512;                ///< tokens that a request may sample, branches included
  std::int32_t max_branch_tokens = kUnlimited;  ///< tokens that one branch may sample
  std::int32_t max_depth = 8;                   ///< nesting of blocks; a deeper fork is refused; 0: no branches
  std::int32_t max_rows = 512;                  ///< rows of a pass; prompts get what decoding leaves, at least one row
  Positions positions = Positions::sequential;  ///< the checkpoint's own; not `given`
  std::vector<TokenId> end_of_text = {};        ///< tokens that end an answer or a branch; never fed
  /// Feed the tags that the markup expects on the trunk as drafts: extra rows of the pass, which its commit rejects
  /// where the model sampled another token. Saves passes and changes no token. A host that samples itself samples
  /// behind each draft too; what it samples behind a rejected draft is discarded. No effect with one branch at a time.
  bool draft = false;
  std::shared_ptr<const RowCosts> row_costs = {};  ///< measured costs of the model's passes, if there are any
  /// Requests can be preempted (Decoder::preempt, Scheduler). The decoder then keeps the tokens that it fed, 4 bytes
  /// each, and a request that goes on after another counts its branches on from that one's.
  bool preemptible = false;
};

}  // namespace anabranch
