// Pieces of a text, and the ways in which a delimiter between them is treated.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// A text, and what must be known of the place where it stands.
template <class Text>
struct BasicPiece {
  Text text;
  /// So many of its leading bytes come from the first character with which the whole input begins; only Metaspace's
  /// "first" needs it. Most texts have that character's length there, or 0.
  std::size_t n_first = 0;
  bool goes_on = false;  ///< behind a text that is not here: nothing is put in front of it, or taken off there
};
using Piece = BasicPiece<std::string_view>;
using OwnedPiece = BasicPiece<std::string>;

inline Piece view_of(const OwnedPiece& piece) { return {piece.text, piece.n_first, piece.goes_on}; }

inline Piece part_of(const Piece& piece, std::size_t begin, std::size_t end) {
  return {piece.text.substr(begin, end - begin), std::min(piece.n_first - std::min(piece.n_first, begin), end - begin),
          piece.goes_on && begin == 0};
}

/// Treatment of the matches of a pattern, and of those that follow each other.
enum class Delimiters : std::uint8_t { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Joins matches and what lies between them to pieces. `take(begin, end)` gets each piece that is not empty.
template <class Take>
class Joiner {
 public:
  Joiner(Delimiters delimiters, const Take& take) : delimiters_(delimiters), take_(take) {}

  /// The next part of the text, behind the last one.
  void add(std::size_t begin, std::size_t end, bool is_match) {
    if (delimiters_ == Delimiters::removed && is_match) return;
    if (has_last_ && joins(is_match)) {
      end_ = end;
    } else {
      flush();
      begin_ = begin;
      end_ = end;
      has_last_ = true;
    }
    last_is_match_ = is_match;
  }
  void flush() {
    if (has_last_ && begin_ < end_) take_(begin_, end_);
    has_last_ = false;
  }

 private:
  bool joins(bool is_match) const noexcept {
    switch (delimiters_) {
      case Delimiters::contiguous: return is_match == last_is_match_;
      case Delimiters::merged_with_previous: return is_match && !last_is_match_;
      case Delimiters::merged_with_next: return !is_match && last_is_match_;
      default: return false;
    }
  }

  Delimiters delimiters_;
  const Take& take_;
  std::size_t begin_ = 0, end_ = 0;
  bool has_last_ = false;
  bool last_is_match_ = false;
};

}  // namespace anabranch::hf::impl
