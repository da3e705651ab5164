// What a run counted, as text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/corpus/format.hpp>
#include <anabranch/corpus/metrics.hpp>

namespace corpus_tool {

namespace ab = anabranch;

struct Tally {
  std::int64_t n_parallel = 0;         ///< samples written with a block
  std::int64_t n_serial = 0;           ///< samples written without one
  std::int64_t n_skipped = 0;          ///< serial answers that were not wanted
  std::int64_t n_dissolved = 0;        ///< samples whose blocks were all merged back
  std::int64_t n_branches_scored = 0;  ///< with a model only
  std::int64_t n_branches_merged = 0;
  ab::corpus::ReasonCounts reasons;
  std::vector<ab::corpus::AnswerCounts> counts;  ///< of the samples written in this run; with a model only
};

/// Markdown tables: answers by outcome, rejected answers by reason, and the figures of the samples.
std::string tables(const Tally& tally);

}  // namespace corpus_tool
