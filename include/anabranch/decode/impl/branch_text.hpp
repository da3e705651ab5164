// The bytes of a branch's tokens. Where the reader's text begins, a token may say something else than in its midst.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/markup/text.hpp>

namespace anabranch::impl {

/// Appends the bytes of the next token of the branch's text.
template <Detokenizer Text, class State>
void append_bytes(const Text& text, BranchState<State>& branch, TokenId token, std::string& bytes) {
  if constexpr (DecodesBeginning<Text>) {
    TextBeginning& beginning = branch.beginning;
    if (!beginning.over) {
      beginning.tokens.push_back(token);
      text.decode_beginning(std::span<const TokenId>(beginning.tokens), bytes);
      if (!bytes.empty()) beginning = TextBeginning::passed();
      return;
    }
  }
  text(std::span<const TokenId>(&token, 1), bytes);
}

/// A title is a text of its own.
template <Detokenizer Text>
std::string text_of_title(const Text& text, const std::vector<TokenId>& title) {
  std::string bytes;
  if (title.empty()) return bytes;
  if constexpr (DecodesBeginning<Text>)
    text.decode_beginning(std::span<const TokenId>(title), bytes);
  else
    text(std::span<const TokenId>(title), bytes);
  return bytes;
}

}  // namespace anabranch::impl
