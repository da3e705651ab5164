// First values of the embeddings of the six tags.
//
// The tags take rows that the model never learned. Each starts as the mean of the embeddings of words that say what the
// tag does, scaled to the median length of ordinary rows, so that the model reads something near its meaning and no
// tag starts louder than a word.
#pragma once

#include <filesystem>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/markup/aspd.hpp>

namespace anabranch::train {

/// The six tags' ids: branch, branch_end, title, title_end, para, para_end.
std::vector<TokenId> tag_tokens(const markup::AspdTags& tags);

/// [6, hidden], in that order. Throws what reading the folder throws.
std::vector<float> initial_tag_rows(const std::filesystem::path& folder, const hf::ModelConfig& config,
                                    const hf::Tokenizer& tokenizer);

}  // namespace anabranch::train
