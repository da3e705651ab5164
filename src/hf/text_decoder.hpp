// From the texts of tokens to text: the `decoder` of tokenizer.json, whole and token by token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "json_file.hpp"
#include "matcher.hpp"
#include "metaspace.hpp"

namespace anabranch::hf::impl {

class TextDecoder {
 public:
  /// How a token's text depends on its neighbours.
  enum class Shape : std::uint8_t {
    bytes,   ///< not at all: its characters stand for bytes
    spaced,  ///< there is a blank before each but the first
    pieces,  ///< what `piece` gives, bytes in a row, and blanks taken off the beginning
    whole    ///< in another way: nothing is known before the last token
  };

  /// No decoder: `spaced`.
  TextDecoder() = default;
  /// Throws `unsupported` or `bad_file`.
  explicit TextDecoder(const JsonObject& json);

  Shape shape() const noexcept { return shape_; }
  /// Is the first token's piece another than it would be later?
  bool first_differs() const noexcept { return first_differs_; }
  /// Are tokens like "<0x0A>" bytes in a row?
  bool has_bytes() const noexcept { return has_bytes_ && shape_ == Shape::pieces; }
  /// Up to so many of this character are taken off the beginning of the whole text.
  std::size_t n_stripped() const noexcept { return n_stripped_; }
  const std::string& stripped() const noexcept { return stripped_; }

  struct Piece {
    std::string bytes;
    bool is_byte = false;  ///< one of a row of bytes, which are a text together or none at all
  };
  /// The bytes of a token that is the first, or in the midst of others; of shape `whole`: of the token alone.
  Piece piece(std::string_view token, bool is_first) const;
  /// The text of all tokens.
  std::string whole(std::vector<std::string> tokens) const;

 private:
  struct Replace {
    Matcher matcher;
    std::string by;
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    std::string character;
    std::int32_t n_start, n_stop;
  };
  struct ByteLevel {};
  using Step = std::variant<Replace, ByteFallback, Fuse, Strip, Metaspace, ByteLevel>;
  using Texts = std::vector<std::string>;

  void add(const JsonObject& json);
  void find_shape();
  static bool changes_one(const Step& step);
  static void change(const Step& step, bool is_first, std::string& text);
  static void replace(const Replace& step, std::string& text);
  static void check_growth(std::size_t n_bytes, std::size_t n_tokens, std::size_t n_before);
  static void strip(const Strip& step, std::string& text);
  static void unmeta(const Metaspace& step, bool is_first, std::string& text);
  static Texts join_bytes(const Texts& tokens);
  static std::string from_alphabet(const Texts& tokens);

  std::vector<Step> steps_;
  Shape shape_ = Shape::spaced;
  std::size_t n_single_ = 0;  ///< steps at the beginning that change each token for itself
  bool first_differs_ = true;
  bool has_bytes_ = false;
  std::size_t n_stripped_ = 0;
  std::string stripped_;
};

/// The byte that a token like "<0x0A>" stands for.
std::optional<char> byte_of_token(std::string_view token);
/// Bytes in a row, as a text: that text, or U+FFFD for each.
std::string text_of_bytes(std::string_view bytes);

}  // namespace anabranch::hf::impl
