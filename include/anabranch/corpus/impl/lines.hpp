// The lines of an answer: what each is, and which belong together because a code fence holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
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

inline std::vector<Line> read_lines(std::string_view answer) {
  std::vector<Line> lines;
  for (std::size_t at = 0; at < answer.size(); at = lines.back().next) lines.push_back(read_line(answer, at));
  for (std::size_t i = 0; i < lines.size();) {
    Line& line = lines[i];
    line.after = i + 1;
    const std::size_t at = line.marker ? line.marker.content : line.text;
    const std::size_t length = line.shape == Shape::plain ? fence_length(answer, at, line.end) : 0;
    if (length == 0) {
      ++i;
      continue;
    }
    if (!line.marker) line.shape = Shape::code;
    i = close_fence(answer, lines, i, answer[at], length);
  }
  return lines;
}

}  // namespace anabranch::corpus::impl
