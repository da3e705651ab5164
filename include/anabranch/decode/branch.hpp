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
  std::string text;                    ///< in reading order, the blocks inside it included
  std::vector<TokenId> tokens;         ///< likewise, sampled and forced: tags and titles are among them
  EndReason reason = EndReason::none;  ///< why it is over; none: it is not
  SequenceId sequence = kNoSequence;   ///< in the cache, as long as it is there
};

}  // namespace anabranch
