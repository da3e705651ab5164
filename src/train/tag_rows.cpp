#include <anabranch/train/tag_rows.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>

#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>

namespace anabranch::train {
namespace {

/// In the order of tag_tokens().
constexpr const char* kWords[] = {
    " start beginning point detail",  // branch
    "\n end done finished",           // branch_end
    " title heading topic",           // title
    ": name called",                  // title_end
    " list following points each",    // para
    " together overall finally all",  // para_end
};

double length_of(std::span<const float> row) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

}  // namespace

std::vector<TokenId> tag_tokens(const markup::AspdTags& tags) {
  return {tags.branch, tags.branch_end, tags.title, tags.title_end, tags.para, tags.para_end};
}

std::vector<float> initial_tag_rows(const std::filesystem::path& folder, const hf::ModelConfig& config,
                                    const hf::Tokenizer& tokenizer, std::span<const TokenId> tags) {
  const auto width = static_cast<std::size_t>(config.hidden);
  const hf::ModelWeights weights(hf::Weights::open(folder), config);
  std::vector<float> table(static_cast<std::size_t>(config.vocabulary) * width);
  weights.require(hf::embedding_spec(config).weight(), {config.vocabulary, config.hidden}).read(0, table);
  const auto row = [&](TokenId token) { return std::span(table.data() + std::int64_t{token} * config.hidden, width); };
  std::vector<double> lengths;
  for (TokenId token = 0; token < config.vocabulary; ++token) lengths.push_back(length_of(row(token)));
  const auto middle = lengths.begin() + config.vocabulary / 2;
  std::nth_element(lengths.begin(), middle, lengths.end());
  const double median = *middle;
  // The words' own means would be likely everywhere: what all tags share is taken away, and the row that the unused
  // token has, which is likely nowhere, is put in its place.
  std::vector<float> means;
  std::vector<float> shared(width, 0.0f);
  for (const char* words : kWords) {
    std::vector<float> mean(width, 0.0f);
    for (const TokenId token : tokenizer.encode(words, hf::Special::plain)) {
      const auto values = row(token);
      for (std::size_t i = 0; i < width; ++i) mean[i] += values[i];
    }
    const auto scale = static_cast<float>(median / std::max(length_of(mean), 1e-6));
    for (std::size_t i = 0; i < width; ++i) {
      means.push_back(mean[i] * scale);
      shared[i] += mean[i] * scale / static_cast<float>(std::size(kWords));
    }
  }
  std::vector<float> out;
  for (std::size_t k = 0; k < tags.size(); ++k) {
    const auto own = row(tags[k]);
    for (std::size_t i = 0; i < width; ++i) out.push_back(own[i] + means[k * width + i] - shared[i]);
  }
  return out;
}

}  // namespace anabranch::train
