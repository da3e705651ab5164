// Marks at the start of a line that make it an item: bullets, numbers, letters, `Step 1`, `First`, bold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <anabranch/corpus/impl/enumerators.hpp>
#include <anabranch/corpus/impl/marker_reader.hpp>

namespace anabranch::corpus::impl {

inline Marker read_bullet(MarkerReader r) noexcept {
  static constexpr std::array<std::string_view, 21> kBullets = {"-", "*", "+", "•", "◦", "▪", "▫", "‣", "⁃", "●", "○",
                                                                "■", "□", "–", "—", "·", "►", "➤", "✓", "✔", "→"};
  for (std::size_t i = 0; i < kBullets.size(); ++i) {
    MarkerReader after = r;
    if (!after.take(kBullets[i]) || !is_space(after.peek())) continue;
    after.skip_blanks();
    return {BlockKind::bulleted, static_cast<std::int32_t>(i), 0, 0, after.at, after.at, false, 0, 0};
  }
  return {};
}

/// Whether a list may begin with this marker. A line that begins with a year is seldom the first item of a list.
inline bool may_begin(const Marker& marker) noexcept {
  return marker && !(marker.kind == BlockKind::numbered && marker.number >= 1800 && marker.number <= 2100);
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
    return {BlockKind::ordinals, word.style, word.number, 0, r.at, after.at, false, 0, 0};
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
