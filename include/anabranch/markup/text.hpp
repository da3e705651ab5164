// Between tokens and text: what a markup or a decoder asks of a tokenizer, and no more.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch {

/// Turns tokens into text bytes (not necessarily whole UTF-8 characters): appends to `out`.
template <class T>
concept Detokenizer = requires(const T& text, std::span<const TokenId> tokens, std::string& out) {
  text(tokens, out);
};

/// Turns text into tokens, without adding any of its own (no beginning-of-text token).
template <class T>
concept TextToTokens = requires(const T& tokens, std::string_view text) {
  { tokens(text) } -> std::convertible_to<std::vector<TokenId>>;
};

}  // namespace anabranch
