// The model that says which branches depend on their siblings.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <anabranch/corpus/independence.hpp>
#include <anabranch/corpus/metrics.hpp>
#include <anabranch/corpus/parts.hpp>

namespace corpus_tool {

namespace ab = anabranch;

struct ScorerOptions {
  std::string model;             ///< Hugging Face folder
  std::string weights = "auto";  ///< auto, f32, bf16, int8
  std::int32_t max_rows = 512;   ///< of a pass
  ab::corpus::BranchStarts starts = ab::corpus::BranchStarts::successive;
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  /// Scores of each sample's blocks, in the order of corpus::block_tokens. All samples share passes. A sample longer
  /// than the model's maximum gets none.
  virtual std::vector<std::vector<ab::corpus::BlockScores>> score(std::span<const ab::corpus::Sample> samples) = 0;
  virtual ab::corpus::AnswerCounts count(const ab::corpus::Sample& sample) = 0;
};

/// Throws what loading a model throws; `unsupported` in a build without LibTorch.
std::unique_ptr<Scorer> load_scorer(const ScorerOptions& options);

}  // namespace corpus_tool
