// stop_token_of: the concept FindsStopTokens, for tokenizers that find special tokens in a text.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include <anabranch/error.hpp>
#include <anabranch/types.hpp>

namespace anabranch::impl {

/// The special token that `text` is the name of; kUnknownToken if it holds none. `tokens`: the text's, special ones
/// found. Throws bad_request for one among other text.
template <class IsSpecial>
TokenId stop_token_of(std::string_view text, std::span<const TokenId> tokens, IsSpecial&& is_special) {
  const auto special = std::find_if(tokens.begin(), tokens.end(), is_special);
  if (special == tokens.end()) return kUnknownToken;
  if (tokens.size() > 1)
    fail(Status::bad_request, "the stop text \"", text,
         "\" holds the name of a special token among other text; it must be the name alone, or text");
  return *special;
}

}  // namespace anabranch::impl
