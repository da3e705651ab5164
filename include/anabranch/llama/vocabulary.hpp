// The text side of a llama.cpp model: what a decoder and a markup ask of a tokenizer, and its chat template.
//
// Satisfies TextToTokens and Detokenizer. Cheap to copy; the model must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/types.hpp>

struct llama_model;
struct llama_vocab;

namespace anabranch::llama {

/// How a text that spells control tokens (`<|im_end|>`) is read.
enum class Special : std::uint8_t {
  plain,  ///< stays text
  parse,  ///< becomes those tokens
};

struct Message {
  std::string role;  ///< system, user, assistant
  std::string content;
};

class Vocabulary {
 public:
  /// Throws bad_argument (null) or unsupported (a model without a vocabulary).
  explicit Vocabulary(const llama_model* model);

  std::int32_t n_tokens() const noexcept { return n_tokens_; }
  /// Tokens that end an answer or a turn.
  const std::vector<TokenId>& end_of_text() const noexcept { return end_of_text_; }

  /// Without a beginning-of-text token, and without the blank that some vocabularies put in front of a text. Throws
  /// bad_argument, with the place, for text that is not UTF-8.
  std::vector<TokenId> encode(std::string_view text, Special special = Special::plain) const;
  std::vector<TokenId> operator()(std::string_view text) const { return encode(text); }
  /// Appends the tokens' text; control tokens have none. Throws bad_argument for a token outside the vocabulary.
  void operator()(std::span<const TokenId> tokens, std::string& out) const;
  /// The concept FindsStopTokens: control tokens have names.
  TokenId stop_token(std::string_view text) const;

  /// A chat as prompt tokens, ready for the answer: the model's chat template, the beginning-of-text token if the model
  /// wants one, and no way for a message to pass for the template's own control tokens. Throws unsupported when the
  /// model has no chat template, or one that llama.cpp does not know.
  std::vector<TokenId> encode_chat(std::span<const Message> messages) const;

 private:
  std::vector<TokenId> tokenize(std::string_view text, Special special, bool at_start) const;
  std::string render(std::span<const Message> messages) const;

  const llama_model* model_;
  const llama_vocab* vocabulary_;
  std::int32_t n_tokens_ = 0;
  std::vector<TokenId> end_of_text_;
  std::vector<TokenId> line_break_;  ///< tokens of "\n", which stands in front where no blank is wanted
};

}  // namespace anabranch::llama
