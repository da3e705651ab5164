// Text to tokens and back, as a `tokenizer.json` with byte pair encoding says: of bytes (Llama 3, Qwen2, Qwen3,
// SmolLM2, GPT-2) or of characters (Llama 2, Mistral, Phi-3, Gemma).
//
// Gives the same tokens and the same text as the Python package `tokenizers`. What a file asks for and is not there is
// refused by name on opening, never done differently. One difference remains by design: the file's `truncation` and
// `padding`, which its writer happened to leave on, are ignored (docs/models.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/text_range.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf {
namespace impl {
struct TokenizerTable;
}

/// Text like "<|im_end|>" becomes the special token (prompts built from a chat template), or stays ordinary text (input
/// that must not be able to end the user's turn).
enum class Special : std::uint8_t { parse, plain };
/// Whether the tokens that the file puts around every text (such as a begin-of-text) are added.
enum class Surround : std::uint8_t { none, as_file_says };
/// Whether a text begins, or goes on behind another: then the blank that the file puts in front of a text is not put.
enum class TextPlace : std::uint8_t { beginning, midst };
/// Treatment of special tokens when tokens are decoded to text.
enum class SpecialText : std::uint8_t { skip, keep };

struct EncodeOptions {
  Special special = Special::parse;
  Surround surround = Surround::none;
  TextPlace place = TextPlace::beginning;
};

/// The text of tokens that come one after another: all that was appended is what Tokenizer::decode makes of all tokens.
/// Text comes out as soon as the tokens that follow cannot change it. Bytes in a row ("<0x0A>") wait for their end,
/// because they may turn out to be no text.
class DecodeStream {
 public:
  /// Appends what is known of the text now. Throws as `decode` does; then nothing has changed.
  void push(std::span<const TokenId> tokens, std::string& out);
  /// Appends the rest, and starts anew.
  void finish(std::string& out);

 private:
  friend class Tokenizer;
  DecodeStream(std::shared_ptr<const impl::TokenizerTable> table, SpecialText special);
  void restart();
  void take(TokenId id, std::string& out);
  void append(std::string_view text, std::string& out);
  void append_held_bytes(std::string& out);

  std::shared_ptr<const impl::TokenizerTable> table_;
  SpecialText special_;
  bool is_first_ = true;
  std::size_t n_stripped_ = 0;     ///< that may still be taken off the beginning
  std::string held_bytes_;         ///< a row of them that has not ended
  std::vector<TokenId> held_ids_;  ///< all, where the last one may change everything
};

/// Cheap to copy (copies share one immutable table); all calls are safe from several threads.
class Tokenizer {
 public:
  /// Reads `folder/tokenizer.json` and the tokens that `folder/tokenizer_config.json` adds or lists again; or the file
  /// itself, which may be a GGUF file. Throws `bad_file` or `unsupported`, naming file, key and value.
  static Tokenizer load(const std::filesystem::path& folder_or_file);
  /// The same from JSON text; `name` stands for the file in messages.
  static Tokenizer parse(std::string_view json, const std::string& name);

  /// Tokens of the text, which must be well-formed UTF-8 (`bad_argument` with the offset otherwise). Cost: linear in
  /// the text, times a logarithm for very long words. `limit_reached`: a pattern needs too long, or a normalizer makes
  /// far too long a text.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  std::vector<TokenId> encode(std::string_view text, Special special) const {
    return encode(text, EncodeOptions{special});
  }
  /// The same, but no special token is found that touches a quoted range (ascending, disjoint, none empty): what others
  /// wrote into a prompt stays text.
  std::vector<TokenId> encode(std::string_view text, std::span<const TextRange> quoted) const;
  /// The tokens in front of every text that is encoded with Surround::as_file_says.
  const std::vector<TokenId>& tokens_in_front() const noexcept;

  /// Appends the text of the tokens, all of it. Where tokens stand for bytes (byte-level BPE) a character may be cut at
  /// either end: the Python package has U+FFFD there. Ids that no token has (a model's vocabulary is often padded)
  /// stand for nothing; negative ones are `bad_argument`. `limit_reached`: a decoder that replaces makes far too long a
  /// text.
  void decode(std::span<const TokenId> tokens, std::string& out, SpecialText special = SpecialText::keep) const;
  std::string decode(std::span<const TokenId> tokens, SpecialText special = SpecialText::keep) const;
  /// The same, token by token.
  DecodeStream stream(SpecialText special = SpecialText::keep) const;
  /// The concept TextToTokens: of a text in the midst of another. What spells a special token stays text.
  std::vector<TokenId> operator()(std::string_view text) const {
    return encode(text, {.special = Special::plain, .place = TextPlace::midst});
  }
  /// The concept Detokenizer: the bytes of tokens in the midst of a text, without special tokens. A blank that `decode`
  /// takes off the beginning of a text is there.
  void operator()(std::span<const TokenId> tokens, std::string& out) const;
  /// The concept DecodesBeginning: the same for tokens that a text begins with; the blank is not there.
  void decode_beginning(std::span<const TokenId> tokens, std::string& out) const;

  /// The concept FindsStopTokens.
  TokenId stop_token(std::string_view text) const;

  /// One more than the highest id.
  std::int32_t n_tokens() const noexcept;
  /// Bytes of one token in the midst of a text; empty for an id in [0, n_tokens()) that no token has. `bad_argument`
  /// outside. Valid as long as this tokenizer or a copy.
  std::string_view token_bytes(TokenId id) const;
  bool is_special(TokenId id) const noexcept;
  /// The added token (special or not) that is written like this.
  std::optional<TokenId> find_added(std::string_view text) const;
  /// The same, but it must be there (`bad_argument` otherwise).
  TokenId added(std::string_view text) const;

 private:
  explicit Tokenizer(std::shared_ptr<const impl::TokenizerTable> table);
  std::shared_ptr<const impl::TokenizerTable> table_;
};

}  // namespace anabranch::hf
