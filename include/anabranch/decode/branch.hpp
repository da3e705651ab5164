// Branch: one branch of an answer as the reader sees it. `Decoder::branch` describes one while its request runs and
// afterwards; a finished `Answer` lists all of them.
#pragma once

#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct Branch {
  std::vector<PathStep> path;  ///< from the trunk; empty: it is the trunk
  std::string title;
  std::string text;             ///< in reading order, the blocks inside it included
  std::vector<TokenId> tokens;  ///< likewise, sampled and forced: tags and titles are among them
  /// Likewise, where RequestOptions::n_log_probabilities asks for them: natural, of the unchanged distribution; NaN for
  /// a token that was not sampled. [tokens.size()]
  std::vector<float> log_probabilities;
  /// The same of the tokens that were likeliest there, likeliest first. [tokens.size()]
  std::vector<std::vector<TokenLogProbability>> likeliest;
  EndReason reason = EndReason::none;  ///< why it is over; none: it is not
  SequenceId sequence = kNoSequence;   ///< in the cache, as long as it is there
};

}  // namespace anabranch
