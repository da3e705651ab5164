// A mark at the start of a line, and what reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <anabranch/corpus/branch_text.hpp>

namespace anabranch::corpus::impl {

inline bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r'; }
inline bool is_space(char c) noexcept { return is_blank(c) || c == '\n'; }
inline bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
inline bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
inline bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }

/// The style that all items of one list share: two markers are siblings only when kind and style are the same.
struct Marker {
  BlockKind kind = BlockKind::none;
  std::int32_t style = 0;   ///< which bullet, delimiter, alphabet or word
  std::int32_t number = 0;  ///< from 1; bullets and bold have none
  std::int32_t roman = 0;   ///< of what may be a Roman numeral: its value, else 0
  std::size_t title = 0;    ///< offset of the first byte that may be title: after the marker, or at `Step`, `First`
  std::size_t content = 0;  ///< offset of the first byte after the marker and the blanks behind it
  bool in_bold = false;     ///< the marker stands behind an opening `**`
  std::size_t digits = 0;   ///< offset of the number of a numbered item, whatever its script
  std::size_t digits_end = 0;
  explicit operator bool() const noexcept { return kind != BlockKind::none; }
};

/// The number of the last of a run of ordinals: `Finally`.
inline constexpr std::int32_t kLastOrdinal = 1000;

/// Does `next` go on with the list of `previous`?
inline bool goes_on(const Marker& previous, const Marker& next) noexcept {
  if (previous.kind != next.kind || previous.style != next.style) return false;
  switch (next.kind) {
    case BlockKind::bulleted:
    case BlockKind::bold: return true;
    case BlockKind::ordinals:
      if (next.number == kLastOrdinal) return previous.number >= 2 && previous.number < kLastOrdinal;
      break;
    default: break;
  }
  return next.number == previous.number + 1 || (previous.roman > 0 && next.roman == previous.roman + 1);
}

/// Reads one line's text; `at` moves over it. All offsets are into the whole answer.
struct MarkerReader {
  std::string_view text;  ///< the answer up to the end of the line
  std::size_t at;

  bool done() const noexcept { return at >= text.size(); }
  char peek(std::size_t ahead = 0) const noexcept { return at + ahead < text.size() ? text[at + ahead] : '\n'; }
  bool starts(std::string_view with) const noexcept { return text.substr(at).substr(0, with.size()) == with; }
  bool take(std::string_view what) noexcept {
    if (!starts(what)) return false;
    at += what.size();
    return true;
  }
  void skip_blanks() noexcept {
    while (!done() && is_blank(text[at])) ++at;
  }
};

}  // namespace anabranch::corpus::impl
