#include <utility>

#include <anabranch/hf/prompt.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "../../common/shipped.hpp"
#include "scorer.hpp"

namespace corpus_tool {
namespace {

using ab::corpus::BlockScores;
using ab::corpus::BlockTokens;
using ab::corpus::Sample;

class TorchScorer : public Scorer {
 public:
  explicit TorchScorer(const ScorerOptions& options)
      : options_(options),
        model_(ab::torch::CausalLm::load(options.model, {.weights = example::kWeights.at(options.weights)})) {}

  std::vector<std::vector<BlockScores>> score(std::span<const Sample> samples) override {
    std::vector<BlockTokens> blocks;
    std::vector<std::size_t> ends;  // of each sample's blocks
    for (const Sample& sample : samples) {
      for (BlockTokens& block : blocks_of(sample)) blocks.push_back(std::move(block));
      ends.push_back(blocks.size());
    }
    std::vector<BlockScores> scores = ab::corpus::independence(
        model_, std::span<const BlockTokens>(blocks),
        {.starts = options_.starts, .max_rows = options_.max_rows, .max_position = model_.config().max_positions});
    std::vector<std::vector<BlockScores>> out;
    for (std::size_t i = 0, begin = 0; i < ends.size(); begin = ends[i++])
      out.emplace_back(std::make_move_iterator(scores.begin() + static_cast<std::ptrdiff_t>(begin)),
                       std::make_move_iterator(scores.begin() + static_cast<std::ptrdiff_t>(ends[i])));
    return out;
  }

  ab::corpus::AnswerCounts count(const Sample& sample) override {
    return ab::corpus::count_sample(sample.parts, model_.text().tokenizer);
  }

 private:
  /// None when the model cannot take them all.
  std::vector<BlockTokens> blocks_of(const Sample& sample) const {
    const ab::hf::Message messages[] = {{"user", sample.prompt}};
    const auto prompt = ab::hf::encode_chat(model_.text().tokenizer, model_.text().chat, messages);
    std::vector<BlockTokens> blocks = ab::corpus::block_tokens(sample.parts, prompt, model_.text().tokenizer);
    for (const BlockTokens& block : blocks) {
      std::size_t n = block.context.size();
      for (const ab::corpus::BranchTokens& branch : block.branches) n += branch.prefix.size() + branch.body.size();
      if (n > static_cast<std::size_t>(model_.config().max_positions)) return {};
    }
    return blocks;
  }

  ScorerOptions options_;
  ab::torch::CausalLm model_;
};

}  // namespace

std::unique_ptr<Scorer> load_scorer(const ScorerOptions& options) { return std::make_unique<TorchScorer>(options); }

}  // namespace corpus_tool
