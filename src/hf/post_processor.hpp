// The `post_processor` of tokenizer.json: tokens that are put around every text.
#pragma once

#include <vector>

#include <anabranch/types.hpp>

#include "json_file.hpp"
#include "token_table.hpp"

namespace anabranch::hf::impl {

struct Surrounding {
  std::vector<TokenId> before, after;
  bool empty() const noexcept { return before.empty() && after.empty(); }
};

/// Throws `unsupported` or `bad_file`. `exists`: which ids are tokens.
Surrounding read_post_processor(const JsonObject& json, const TokenTable<bool>& exists);

}  // namespace anabranch::hf::impl
