// Detokenizer, TextToTokens: the two things that markups and decoders need of a tokenizer.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch {

/// Turns tokens into text bytes (not necessarily whole UTF-8 characters) and appends them to `out`: what they say in
/// the midst of a text. Every decoder needs one; hf::Tokenizer and llama::Vocabulary are.
template <class T>
concept Detokenizer = requires(const T& text, std::span<const TokenId> tokens, std::string& out) {
  text(tokens, out);
};

/// A detokenizer of tokens that say something else where a text begins, mostly one blank less; hf::Tokenizer and
/// llama::Vocabulary are. `decode_beginning(tokens, out)` appends the text of all tokens so far. While that is empty it
/// is called with one token more; the tokens behind those are in the midst.
template <class T>
concept DecodesBeginning = requires(const T& text, std::span<const TokenId> tokens, std::string& out) {
  text.decode_beginning(tokens, out);
};

/// Turns text into tokens and adds none of its own: no beginning-of-text token, and no blank in front, because the text
/// stands in the midst of another. Markups that write text need one: Skeleton.
template <class T>
concept TextToTokens = requires(const T& tokens, std::string_view text) {
  { tokens(text) } -> std::convertible_to<std::vector<TokenId>>;
};

/// A detokenizer that knows the names of special tokens; hf::Tokenizer and llama::Vocabulary are. `stop_token(text)` is
/// the special token with this name, kUnknownToken when the text holds no such name, and throws bad_request when it
/// holds one among other text: special tokens have no text, so it could never be found.
template <class T>
concept FindsStopTokens = requires(const T& text, std::string_view stop) {
  { text.stop_token(stop) } -> std::convertible_to<TokenId>;
};

namespace impl {
/// A detokenizer that knows how many tokens there are: hf::Tokenizer and llama::Vocabulary do.
template <class T>
concept CountsTokens = requires(const T& text) {
  { text.n_tokens() } -> std::convertible_to<std::int32_t>;
};
/// One that knows which tokens end a text: llama::Vocabulary does.
template <class T>
concept KnowsEndOfText = requires(const T& text) {
  { text.end_of_text() } -> std::convertible_to<std::vector<TokenId>>;
};
}  // namespace impl

}  // namespace anabranch
