// The lines of an answer: what each is, and which belong together because a code fence holds them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <anabranch/corpus/impl/markers.hpp>

namespace anabranch::corpus::impl {

enum class Shape : std::uint8_t { plain, blank, code, rule, heading };

struct Line {
  std::size_t begin = 0;
  std::size_t text = 0;  ///< first byte that is no blank; `end` when there is none
  std::size_t end = 0;   ///< before the line break and blanks in front of it
  std::size_t next = 0;  ///< begin of the next line
  std::size_t after =
      0;  ///< index of the next line that may be parted from this one: behind the code fence, if one opens
  std::int32_t indent = 0;  ///< columns; a tab goes to the next multiple of four
  std::int32_t level = 0;   ///< of a heading
  Shape shape = Shape::plain;
  Marker marker;  ///< of a plain line, and of a line whose item begins with a code fence
};

/// The bytes that open a code fence at `at`: three or more of one kind; 0 when there is none.
inline std::size_t fence_length(std::string_view answer, std::size_t at, std::size_t end) noexcept {
  if (at >= end || (answer[at] != '`' && answer[at] != '~')) return 0;
  std::size_t n = 0;
  while (at + n < end && answer[at + n] == answer[at]) ++n;
  if (n < 3) return 0;
  const bool inline_code = answer[at] == '`' && answer.substr(0, end).find('`', at + n) != std::string_view::npos;
  return inline_code ? 0 : n;
}

inline bool is_rule(std::string_view text) noexcept {
  std::size_t n = 0;
  for (const char c : text) {
    if (is_blank(c)) continue;
    if (c != text[0] || (c != '-' && c != '*' && c != '_')) return false;
    ++n;
  }
  return n >= 3;
}

/// Level of a heading: `#` to `######` and a blank; 0 for other lines.
inline std::int32_t heading_level(std::string_view text) noexcept {
  std::size_t n = 0;
  while (n < text.size() && text[n] == '#') ++n;
  return n >= 1 && n <= 6 && n < text.size() && is_blank(text[n]) ? static_cast<std::int32_t>(n) : 0;
}

inline Line read_line(std::string_view answer, std::size_t begin) noexcept {
  Line line;
  line.begin = line.text = begin;
  const std::size_t stop = answer.find('\n', begin);
  line.end = stop == std::string_view::npos ? answer.size() : stop;
  line.next = stop == std::string_view::npos ? answer.size() : stop + 1;
  while (line.text < line.end && is_blank(answer[line.text]))
    line.indent = answer[line.text++] == '\t' ? (line.indent / 4 + 1) * 4 : line.indent + 1;
  while (line.end > line.text && is_blank(answer[line.end - 1])) --line.end;
  const std::string_view text = answer.substr(line.text, line.end - line.text);
  line.level = heading_level(text);
  if (text.empty())
    line.shape = Shape::blank;
  else if (line.level > 0 && line.indent <= 3)
    line.shape = Shape::heading;
  else if (is_rule(text))
    line.shape = Shape::rule;
  else
    line.marker = read_marker(answer, line.text, line.end);
  return line;
}

/// Makes the lines of the fence that opens on line `open` code. Returns the index of the line after its end.
inline std::size_t close_fence(std::string_view answer, std::vector<Line>& lines, std::size_t open, char mark,
                               std::size_t length) {
  std::size_t i = open + 1;
  for (bool closed = false; i < lines.size() && !closed; ++i) {
    const std::string_view text = answer.substr(lines[i].text, lines[i].end - lines[i].text);
    closed = text.size() >= length && text.find_first_not_of(mark) == std::string_view::npos;
    lines[i].shape = Shape::code;
    lines[i].marker = {};
  }
  for (std::size_t j = open; j < i; ++j) lines[j].after = i;
  return i;
}

/// The column at byte `at` of a line.
inline std::int32_t column_of(std::string_view answer, const Line& line, std::size_t at) noexcept {
  std::int32_t column = line.indent;
  for (std::size_t i = line.text; i < at; ++i)
    if ((static_cast<unsigned char>(answer[i]) & 0xc0) != 0x80)
      column = answer[i] == '\t' ? (column / 4 + 1) * 4 : column + 1;
  return column;
}

/// Tells code by its indentation: four columns more than the item that it stands in, behind a blank line or more code.
class IndentedCode {
 public:
  /// REQUIRES: called for all lines outside fences, in order.
  bool holds(std::string_view answer, const Line& line) {
    if (line.shape == Shape::blank) {
      may_begin_ = true;
      return false;
    }
    while (!contents_.empty() && line.indent < contents_.back()) contents_.pop_back();
    const std::int32_t base = contents_.empty() ? 0 : contents_.back();
    if (may_begin_ && line.indent >= base + 4) return true;
    may_begin_ = line.shape == Shape::rule || line.shape == Shape::heading;
    const BlockKind kind = line.marker.kind;
    if (kind == BlockKind::bulleted || kind == BlockKind::numbered || kind == BlockKind::lettered)
      contents_.push_back(content_column(answer, line));
    return false;
  }
  /// Behind a fence, whose lines are no paragraph that could go on.
  void after_fence() noexcept { may_begin_ = true; }

 private:
  /// The column of an item's text; of code or of nothing behind the marker: one behind it.
  static std::int32_t content_column(std::string_view answer, const Line& line) noexcept {
    std::size_t marker_end = line.marker.content;
    while (marker_end > line.text && is_blank(answer[marker_end - 1])) --marker_end;
    const std::int32_t behind = column_of(answer, line, marker_end);
    const std::int32_t content = column_of(answer, line, line.marker.content);
    return line.marker.content < line.end && content <= behind + 4 ? content : behind + 1;
  }

  std::vector<std::int32_t> contents_;  ///< of the open items, outermost first
  bool may_begin_ = true;
};

/// Whether lines behind line i go on with a list that begins inside the line, at `column`.
inline bool list_goes_on(const std::vector<Line>& lines, std::size_t i, const Marker& marker, std::int32_t column) {
  for (std::size_t k = lines[i].after; k < lines.size(); k = lines[k].after) {
    const Line& line = lines[k];
    if (line.shape == Shape::blank) continue;
    if (line.indent + 1 < column) return false;
    if (line.indent <= column + 1 && line.marker && goes_on(marker, line.marker)) return true;
  }
  return false;
}

/// Parts a line whose item begins with an item of a list that later lines go on with, as in `*   * x`: the inner item
/// becomes a line of its own. Returns the parts behind the first, whose `after` is not set.
inline std::vector<Line> part_nested(std::string_view answer, std::vector<Line>& lines, std::size_t i) {
  constexpr std::size_t kMost = 8;
  std::vector<Line> inner;
  inner.reserve(kMost);
  for (Line* outer = &lines[i]; inner.size() < kMost && outer->marker && outer->shape == Shape::plain;) {
    Line line = *outer;
    line.begin = line.text = outer->marker.content;
    if (line.text >= line.end || outer->marker.in_bold) break;
    if (is_rule(answer.substr(line.text, line.end - line.text))) break;
    line.marker = read_marker(answer, line.text, line.end);
    line.indent = column_of(answer, *outer, line.text);
    const bool item = line.marker.kind == BlockKind::bulleted || line.marker.kind == BlockKind::numbered;
    if (!item || !list_goes_on(lines, i, line.marker, line.indent)) break;
    outer->next = line.text;
    outer->end = line.text;
    while (outer->end > outer->text && is_blank(answer[outer->end - 1])) --outer->end;
    inner.push_back(line);
    outer = &inner.back();
  }
  return inner;
}

/// Puts the inner items of all lines behind them.
inline std::vector<Line> part_lines(std::string_view answer, std::vector<Line> lines) {
  std::vector<std::vector<Line>> inner(lines.size());
  std::vector<std::size_t> places;
  std::size_t n = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    places.push_back(n);
    if (lines[i].marker && lines[i].after == i + 1) inner[i] = part_nested(answer, lines, i);
    n += 1 + inner[i].size();
  }
  if (n == lines.size()) return lines;
  places.push_back(n);
  std::vector<Line> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t after = places[lines[i].after];
    out.push_back(lines[i]);
    out.back().after = inner[i].empty() ? after : out.size();
    for (const Line& line : inner[i]) {
      out.push_back(line);
      out.back().after = out.size();
    }
  }
  return out;
}

inline std::vector<Line> read_lines(std::string_view answer) {
  std::vector<Line> lines;
  for (std::size_t at = 0; at < answer.size(); at = lines.back().next) lines.push_back(read_line(answer, at));
  IndentedCode code;
  for (std::size_t i = 0; i < lines.size();) {
    Line& line = lines[i];
    line.after = i + 1;
    if (code.holds(answer, line)) {
      line.shape = Shape::code;
      line.marker = {};
    }
    const std::size_t at = line.marker ? line.marker.content : line.text;
    const std::size_t length = line.shape == Shape::plain ? fence_length(answer, at, line.end) : 0;
    if (length == 0) {
      ++i;
      continue;
    }
    if (!line.marker) line.shape = Shape::code;
    i = close_fence(answer, lines, i, answer[at], length);
    code.after_fence();
  }
  return part_lines(answer, std::move(lines));
}

}  // namespace anabranch::corpus::impl
