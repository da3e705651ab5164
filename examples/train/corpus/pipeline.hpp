// Answers in, samples out: extraction, checks, independence, writing. Can be stopped at any time and run again.
#pragma once

#include <string>

#include <anabranch/corpus/extract.hpp>
#include <anabranch/corpus/format.hpp>

#include "scorer.hpp"
#include "tables.hpp"

namespace corpus_tool {

struct PipelineOptions {
  std::string in = {};        ///< JSON lines {"id", "kind", "prompt", "answer"}
  std::string out = {};       ///< samples; answers whose id is there already are skipped
  std::string rejected = {};  ///< JSON lines {"id", "reasons", "findings"}; skipped as well
  std::string scores = {};    ///< JSON lines {"id", "losses": [[...]]}; empty: not written
  std::string metrics = {};   ///< JSON lines {"id", "repetition"}, one for each sample of `out`; empty: not written
  bool keep_serial = true;
  bool quiet = false;
  std::size_t batch = 32;  ///< answers between two writes; they share the model's passes
  /// Nats per token that a branch may lose. Of 1,167 branches of SmolLM2's own answers, scored by itself, one in ten
  /// lost more than this and half lost more than 0.49: text near its siblings is always likelier.
  double threshold = 0.9;
  ab::corpus::ExtractOptions extract = {};
  ab::corpus::PartsOptions parts = {};
  ab::corpus::FormatLimits limits = {};
};

/// `scorer` may be null: no branch is scored. Throws bad_file and what scoring throws; what was written stays.
Tally run_pipeline(const PipelineOptions& options, Scorer* scorer);

}  // namespace corpus_tool
