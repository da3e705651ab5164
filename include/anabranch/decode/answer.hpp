// An answer as a whole: what the batteries of every runner return.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/decode/events.hpp>

namespace anabranch {

struct AnswerBranch {
  std::vector<PathStep> path;
  std::string title;
  std::string text;
  EndReason reason = EndReason::none;
};

struct Answer {
  std::string text;                    ///< in reading order, as joined
  std::vector<AnswerBranch> branches;  ///< of all blocks, in the order of their forks
  EndReason reason = EndReason::none;
  Statistics statistics;
  double seconds = 0;                  ///< wall clock from the request to its end, prefill included
  double prefill_seconds = 0;          ///< of the passes that held part of the prompt
  double parallel_seconds = 0;         ///< of the passes in which the answer had open branches
  std::int32_t n_parallel_tokens = 0;  ///< text tokens sampled in those
};

}  // namespace anabranch
