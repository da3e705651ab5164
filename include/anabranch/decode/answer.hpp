// Answer: a finished answer as a whole, which `RequestLoop` and every `generate` return.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/decode/branch.hpp>
#include <anabranch/decode/statistics.hpp>

namespace anabranch {

struct Answer {
  std::string text;                                         ///< in reading order, as joined
  std::vector<TokenId> tokens;                              ///< likewise, tags and titles included
  std::vector<float> log_probabilities;                     ///< as Branch::log_probabilities
  std::vector<std::vector<TokenLogProbability>> likeliest;  ///< as Branch::likeliest
  std::vector<Branch> branches;                             ///< of all blocks, in the order of their forks
  EndReason reason = EndReason::none;
  Statistics statistics;
  double seconds = 0;                  ///< wall clock from the request to its end, prefill included
  double prefill_seconds = 0;          ///< of the passes that held part of the prompt
  double parallel_seconds = 0;         ///< of the passes in which the answer had open branches
  std::int32_t n_parallel_tokens = 0;  ///< text tokens sampled in those
};

}  // namespace anabranch
