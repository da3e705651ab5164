// Changes to a text before it is cut: normal forms, lower case, replacements, a prefix.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "json_file.hpp"
#include "matcher.hpp"
#include "normal_forms.hpp"
#include "pieces.hpp"

namespace anabranch::hf::impl {

class Normalizer {
 public:
  Normalizer() = default;
  /// From the `normalizer` of tokenizer.json. Throws `unsupported` or `bad_file`.
  explicit Normalizer(const JsonObject& json) { add(json); }

  bool empty() const noexcept { return steps_.empty(); }
  /// After which of its steps the beginning of a text is not followed exactly: "NFKC"; nullptr if after none.
  const char* moves_beginning() const noexcept { return moves_beginning_; }
  OwnedPiece operator()(const Piece& piece) const;
  std::string operator()(std::string_view text) const { return (*this)(Piece{text, 0}).text; }

 private:
  struct Lowercase {};
  struct ByteAlphabet {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Matcher matcher;
    std::string by;
  };
  struct Strip {
    bool left, right;
  };
  using Step = std::variant<NormalForm, Lowercase, ByteAlphabet, Prepend, Replace, Strip>;

  void add(const JsonObject& json);
  void add_replace(const JsonObject& json);
  bool add_form(const JsonObject& json, const std::string& type);
  static OwnedPiece apply(NormalForm form, const OwnedPiece& piece);
  static OwnedPiece apply(const Lowercase&, const OwnedPiece& piece);
  static OwnedPiece apply(const ByteAlphabet&, const OwnedPiece& piece);
  static OwnedPiece apply(const Prepend& step, const OwnedPiece& piece);
  static OwnedPiece apply(const Replace& step, const OwnedPiece& piece);
  static OwnedPiece apply(const Strip& step, const OwnedPiece& piece);

  std::vector<Step> steps_;
  const char* moves_beginning_ = nullptr;
};

/// The piece with each match replaced.
OwnedPiece replaced(const Matcher& matcher, std::string_view by, const Piece& piece);
/// The piece behind a text.
OwnedPiece prefixed(std::string_view text, const Piece& piece);

}  // namespace anabranch::hf::impl
