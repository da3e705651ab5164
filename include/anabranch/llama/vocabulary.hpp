// The text side of a llama.cpp model: what a decoder and a markup ask of a tokenizer, and its chat template.
//
// Satisfies TextToTokens and Detokenizer. Cheap to copy; the model must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/types.hpp>

struct llama_model;
struct llama_vocab;

namespace anabranch::llama {

using hf::Message;
/// How a text that spells control tokens (`<|im_end|>`) is read.
using hf::Special;

class Vocabulary {
 public:
  /// Throws bad_argument (null) or unsupported (a model without a vocabulary).
  explicit Vocabulary(const llama_model* model);

  std::int32_t n_tokens() const noexcept { return n_tokens_; }
  /// Tokens that end an answer or a turn: those that llama.cpp takes for such, and what the chat template closes an
  /// answer with.
  const std::vector<TokenId>& end_of_text() const noexcept { return end_of_text_; }

  /// Without a beginning-of-text token, and without the blank that some vocabularies put in front of a text. Throws
  /// bad_argument, with the place, for text that is not UTF-8.
  std::vector<TokenId> encode(std::string_view text, Special special = Special::plain) const;
  std::vector<TokenId> operator()(std::string_view text) const { return encode(text); }
  /// Appends the tokens' text; control tokens have none. Throws bad_argument for a token outside the vocabulary.
  void operator()(std::span<const TokenId> tokens, std::string& out) const;
  /// The concept DecodesBeginning: the same, without the blank that some vocabularies put in front of a text.
  void decode_beginning(std::span<const TokenId> tokens, std::string& out) const;
  /// The concept FindsStopTokens: control tokens have names.
  TokenId stop_token(std::string_view text) const;

  /// The model's chat template; `plain` where it has none.
  const hf::ChatTemplate& chat() const noexcept { return *chat_; }
  /// A chat as prompt tokens, as hf::encode_chat makes them of a folder of the same model: what the chat template
  /// writes, or, without one, the beginning-of-text token if the model wants it and the contents. No message can pass
  /// for the template's own control tokens. Throws what ChatTemplate::render_parts throws.
  std::vector<TokenId> encode_chat(std::span<const Message> messages, hf::RenderOptions options = {}) const;

 private:
  std::vector<TokenId> tokenize(std::string_view text, Special special) const;
  std::vector<TokenId> encode_parts(const hf::Rendering& chat) const;
  std::vector<TokenId> control_tokens(std::vector<TokenId> tokens) const;

  const llama_vocab* vocabulary_;
  std::shared_ptr<const hf::ChatTemplate> chat_;
  std::int32_t n_tokens_ = 0;
  std::vector<TokenId> end_of_text_;
  bool puts_blank_ = false;          ///< in front of a text
  std::vector<TokenId> line_break_;  ///< tokens of "\n", which stands in front where no blank is wanted
};

}  // namespace anabranch::llama
