// What a caller asks of the decoder: how to sample, when to stop, what to report.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

/// Number of a sequence inside its request: 0 is the trunk, branches count from 1 in the order of their forks.
using BranchIndex = std::int32_t;
inline constexpr BranchIndex kTrunk = 0;

/// One step of a branch's path from the trunk: branch `branch` of its parent's block `block`, both from 0.
struct PathStep {
  std::int32_t block = 0;
  std::int32_t branch = 0;
  friend constexpr bool operator==(const PathStep&, const PathStep&) = default;
};

struct SamplingOptions {
  float temperature = 0.0f;  ///< 0: greedy
  std::int32_t top_k = 0;    ///< only the k likeliest tokens; 0: all
  float top_p = 1.0f;        ///< only the likeliest tokens that together reach this probability
  float repetition_penalty =
      1.0f;  ///< over the answer's tokens that the sequence sees: never a sibling's, nor the prompt's
  std::uint64_t seed = 0;
};

/// What a logit hook is told about the sequence that is about to be sampled.
struct HookContext {
  RequestId request = kNoRequest;
  BranchIndex branch = kTrunk;
  std::span<const PathStep> path;
  std::int64_t index = 0;         ///< tokens that the sequence has sampled before
  std::span<const TokenId> seen;  ///< the answer's tokens that the sequence sees
};
/// Changes one sequence's logits [vocabulary] before sampling. Called again if the commit fails and is repeated.
using LogitHook = std::function<void(const HookContext&, std::span<float>)>;

struct RequestOptions {
  // as SamplingOptions
  float temperature = 0.0f;
  std::int32_t top_k = 0;
  float top_p = 1.0f;
  float repetition_penalty = 1.0f;
  std::uint64_t seed = 0;

  std::vector<std::string> stop =
      {};  ///< the request ends where a sequence writes one of these; the text is cut before it
  std::int32_t max_tokens = kNone;             ///< sampled tokens; kNone: the decoder's
  std::int32_t max_branch_tokens = kNone;      ///< sampled tokens of one branch; kNone: the decoder's
  std::int32_t max_parallel_branches = kNone;  ///< the others wait; kNone: the decoder's max_branches; 1: one by one
  std::int32_t n_log_probabilities = kNone;    ///< report the sampled token's and those of the n likeliest; kNone: none
  /// Groups of so many tokens that the sequence sees in the answer are not written again, so that it does not run in
  /// circles; a markup's tags are free to. 0: they may be.
  std::int32_t no_repeat_ngram = 0;
  LogitHook hook = {};
  RequestId after = kNoRequest;  ///< go on with the history of this finished request

  SamplingOptions sampling() const { return {temperature, top_k, top_p, repetition_penalty, seed}; }
};

struct DecoderOptions {
  std::int32_t max_branches = 8;  ///< branches of a request that are decoded at once; the others wait for a place
  std::int32_t max_tokens = 512;  ///< sampled tokens of a request, branches included
  std::int32_t max_branch_tokens = kUnlimited;  ///< sampled tokens of one branch
  std::int32_t max_depth = 8;                   ///< nesting of blocks; a fork below is refused; 0: no branches at all
  std::int32_t max_rows = 512;                  ///< rows of a pass: prompts get what decoding leaves of it, at least 1
  Positions positions = Positions::sequential;  ///< what the checkpoint was trained with; not `given`
  std::vector<TokenId> end_of_text = {};        ///< tokens that end an answer or a branch; never fed
  /// Tags that the markup thinks likely on the trunk are fed before they are sampled, as further rows of the pass, and
  /// left out of its commit where they were wrong: fewer passes, the same tokens. A host's sampler is asked about the
  /// rows behind a wrong one in vain. Not where max_parallel_branches is 1: one token is sampled a pass.
  bool draft = false;
  std::shared_ptr<const RowCosts> row_costs = {};  ///< what the model's passes cost, where that was measured
};

}  // namespace anabranch
