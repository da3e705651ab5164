// First values of the embeddings of the six tags.
//
// The tags take rows that the model never learned. Each starts as that unused token's own row, which is likely nowhere,
// plus what the embeddings of words that say what the tag does have of their own: so the model reads something near its
// meaning, and its answers without tags are as likely as before.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/markup/aspd.hpp>

namespace anabranch::train {

/// The six tags' ids: branch, branch_end, title, title_end, para, para_end.
std::vector<TokenId> tag_tokens(const markup::AspdTags& tags);

/// [6, hidden] for the ids `tags` of tag_tokens(). Throws what reading the folder throws.
std::vector<float> initial_tag_rows(const std::filesystem::path& folder, const hf::ModelConfig& config,
                                    const hf::Tokenizer& tokenizer, std::span<const TokenId> tags);

}  // namespace anabranch::train
