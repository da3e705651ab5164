// Marks at the start of a line that make it an item: bullets, numbers, letters, `Step 1`, `First`, bold.
#pragma once

#include <array>
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
  std::int32_t roman = 0;   ///< of a letter that may be a Roman numeral: its value, else 0
  std::size_t title = 0;    ///< offset of the first byte that may be title: after the marker, or at `Step`, `First`
  std::size_t content = 0;  ///< offset of the first byte after the marker and the blanks behind it
  bool in_bold = false;     ///< the marker stands behind an opening `**`
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

inline Marker read_bullet(MarkerReader r) noexcept {
  static constexpr std::array<std::string_view, 21> kBullets = {"-", "*", "+", "•", "◦", "▪", "▫", "‣", "⁃", "●", "○",
                                                                "■", "□", "–", "—", "·", "►", "➤", "✓", "✔", "→"};
  for (std::size_t i = 0; i < kBullets.size(); ++i) {
    MarkerReader after = r;
    if (!after.take(kBullets[i]) || !is_space(after.peek())) continue;
    after.skip_blanks();
    return {BlockKind::bulleted, static_cast<std::int32_t>(i), 0, 0, after.at, after.at, false};
  }
  return {};
}

/// Value of a Roman numeral below 40 in lower case, 0 when it is none.
inline std::int32_t roman_value(std::string_view digits) noexcept {
  static constexpr std::array<std::string_view, 10> kUnits = {"",  "i",  "ii",  "iii",  "iv",
                                                              "v", "vi", "vii", "viii", "ix"};
  std::int32_t tens = 0;
  while (tens < 3 && !digits.empty() && digits[0] == 'x') {
    digits.remove_prefix(1);
    ++tens;
  }
  for (std::size_t i = 0; i < kUnits.size(); ++i)
    if (digits == kUnits[i]) return 10 * tens + static_cast<std::int32_t>(i);
  return 0;
}

/// The letters or digits of an enumerator, into `marker`.
inline bool read_enumerator(MarkerReader& r, Marker& marker) noexcept {
  if (is_digit(r.peek())) {
    for (int n = 0; n < 3 && is_digit(r.peek()); ++n) marker.number = 10 * marker.number + (r.text[r.at++] - '0');
    marker.kind = BlockKind::numbered;
    return true;
  }
  const bool upper = is_upper(r.peek());
  std::array<char, 8> letters{};
  std::size_t n = 0;
  while (n < letters.size() && (upper ? is_upper(r.peek()) : is_lower(r.peek()))) {
    const char c = r.text[r.at++];
    letters[n++] = upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  marker.roman = roman_value({letters.data(), n});
  if (n == 1) marker.number = letters[0] - 'a' + 1;
  if (n != 1 && marker.roman == 0) return false;
  if (n != 1) marker.number = -1;  // goes on as a Roman numeral only
  marker.kind = BlockKind::lettered;
  marker.style = upper ? 16 : 8;
  return true;
}

inline Marker read_enumerated(MarkerReader r) noexcept {
  Marker marker;
  marker.in_bold = r.take("**");
  const bool bracket = r.take("(");
  if (!read_enumerator(r, marker)) return {};
  if (!bracket && r.take(".")) {
    marker.style += 1;
  } else if (r.take(")")) {
    marker.style += bracket ? 2 : 3;
  } else {
    return {};
  }
  if (marker.in_bold && r.take("**")) marker.in_bold = false;
  if (!is_space(r.peek())) return {};
  r.skip_blanks();
  marker.title = marker.content = r.at;
  return marker;
}

/// `Step 1:` and its like. The words are the title's beginning, so the title starts at the word.
inline Marker read_step(MarkerReader r) noexcept {
  static constexpr std::array<std::string_view, 14> kWords = {"Step",   "Phase",   "Stage",  "Part", "Day",
                                                              "Week",   "Point",   "Reason", "Tip",  "Option",
                                                              "Method", "Example", "Number", "Idea"};
  Marker marker;
  marker.in_bold = r.take("**");
  marker.title = r.at;
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    MarkerReader after = r;
    if (!after.take(kWords[i]) || !after.take(" ") || !is_digit(after.peek())) continue;
    for (int n = 0; n < 3 && is_digit(after.peek()); ++n)
      marker.number = 10 * marker.number + (after.text[after.at++] - '0');
    const bool closed = after.starts("**") || after.peek() == '\n';
    const bool delimited =
        (after.peek() == ':' || after.peek() == '.') && (is_space(after.peek(1)) || after.peek(1) == '*');
    if (!closed && !delimited && !after.starts(" - ") && !after.starts(" – ") && !after.starts(" — ")) return {};
    marker.kind = BlockKind::steps;
    marker.style = static_cast<std::int32_t>(i);
    marker.content = after.at;
    return marker;
  }
  return {};
}

inline Marker read_ordinal(MarkerReader r) noexcept {
  struct Word {
    std::string_view text;
    std::int32_t number;
    std::int32_t style;
  };
  static constexpr std::array<Word, 19> kWords = {{{"First of all", 1, 0},
                                                   {"Firstly", 1, 0},
                                                   {"First", 1, 0},
                                                   {"Secondly", 2, 0},
                                                   {"Second", 2, 0},
                                                   {"Thirdly", 3, 0},
                                                   {"Third", 3, 0},
                                                   {"Fourthly", 4, 0},
                                                   {"Fourth", 4, 0},
                                                   {"Fifthly", 5, 0},
                                                   {"Fifth", 5, 0},
                                                   {"Sixth", 6, 0},
                                                   {"Seventh", 7, 0},
                                                   {"Eighth", 8, 0},
                                                   {"Ninth", 9, 0},
                                                   {"Finally", kLastOrdinal, 0},
                                                   {"Lastly", kLastOrdinal, 0},
                                                   {"On the one hand", 1, 1},
                                                   {"On the other hand", 2, 1}}};
  for (const Word& word : kWords) {
    MarkerReader after = r;
    if (!after.take(word.text) || (after.peek() != ',' && after.peek() != ':') || !is_blank(after.peek(1))) continue;
    return {BlockKind::ordinals, word.style, word.number, 0, r.at, after.at, false};
  }
  return {};
}

/// A line that is bold as a whole, or begins with bold text and a colon or dash.
inline Marker read_bold(MarkerReader r) noexcept {
  Marker marker;
  if (!r.take("**") || is_space(r.peek()) || r.peek() == '*') return {};
  marker.title = marker.content = r.at;
  const std::size_t close = r.text.find("**", r.at);
  if (close == std::string_view::npos) return {};
  const bool colon = r.text[close - 1] == ':';
  r.at = close + 2;
  if (r.peek() == ':')
    ++r.at;
  else if (!colon && !r.starts(" - ") && !r.starts(" – ") && !r.starts(" — ")) {
    r.skip_blanks();
    if (!r.done()) return {};
  }
  marker.kind = BlockKind::bold;
  marker.in_bold = true;
  return marker;
}

/// The marker that the line's text, answer[begin, end), starts with. REQUIRES: no blank at `begin`, no line break.
inline Marker read_marker(std::string_view answer, std::size_t begin, std::size_t end) noexcept {
  const MarkerReader reader{answer.substr(0, end), begin};
  for (const auto read : {read_bullet, read_enumerated, read_step, read_ordinal, read_bold})
    if (const Marker marker = read(reader)) return marker;
  return {};
}

}  // namespace anabranch::corpus::impl
