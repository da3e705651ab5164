#include "columns.hpp"

#include <algorithm>
#include <array>

namespace chat {
namespace {

constexpr std::int32_t kGap = 2;
constexpr std::int32_t kLeastWidth = 24;

struct Character {
  char32_t code = 0;
  std::size_t n_bytes = 1;
};

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const std::size_t n = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (n == 1 || at + n > text.size()) return {lead, 1};
  char32_t code = lead & (0xff >> (n + 1));
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {lead, 1};
    code = (code << 6) | (byte(at + i) & 0x3fu);
  }
  return {code, n};
}

/// Close to wcwidth for what answers hold: combining marks, CJK, full-width forms, emoji.
std::int32_t cells_of(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array<Range, 7> kNothing{{{0, 0x1f},
                                                  {0x300, 0x36f},
                                                  {0x483, 0x489},
                                                  {0x591, 0x5bd},
                                                  {0x200b, 0x200f},
                                                  {0x20d0, 0x20ff},
                                                  {0xfe00, 0xfe0f}}};
  static constexpr std::array<Range, 7> kWide{{{0x1100, 0x115f},
                                               {0x2e80, 0xa4cf},
                                               {0xac00, 0xd7a3},
                                               {0xf900, 0xfaff},
                                               {0xff00, 0xff60},
                                               {0x1f300, 0x1faff},
                                               {0x20000, 0x3fffd}}};
  const auto in = [c](const Range& r) { return c >= r.first && c <= r.last; };
  if (std::any_of(kNothing.begin(), kNothing.end(), in)) return 0;
  return std::any_of(kWide.begin(), kWide.end(), in) ? 2 : 1;
}

std::string padded(std::string text, std::int32_t width) {
  text.append(static_cast<std::size_t>(std::max(0, width - cells(text))), ' ');
  return text;
}

/// The first characters of `text` that fit into `width` cells; at least one.
std::size_t bytes_that_fit(std::string_view text, std::int32_t width) {
  std::int32_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const Character c = character_at(text, at);
    used += cells_of(c.code);
    if (used > width && at > 0) break;
    at += c.n_bytes;
  }
  return at;
}

void wrap_line(std::string_view line, std::int32_t width, std::vector<std::string>& out) {
  while (cells(line) > width) {
    std::size_t cut = bytes_that_fit(line, width);
    std::size_t next = cut;
    if (cut < line.size() && line[cut] != ' ') {
      const std::size_t blank = line.substr(0, cut).rfind(' ');
      if (blank != std::string_view::npos && blank > 0) cut = next = blank;
    }
    while (next < line.size() && line[next] == ' ') ++next;
    out.emplace_back(line.substr(0, cut));
    line.remove_prefix(next);
  }
  out.emplace_back(line);
}

}  // namespace

std::int32_t cells(std::string_view text) {
  std::int32_t n = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    n += cells_of(c.code);
    at += c.n_bytes;
  }
  return n;
}

std::vector<std::string> wrap(std::string_view text, std::int32_t width) {
  std::vector<std::string> lines;
  width = std::max(width, 1);
  while (true) {
    const std::size_t end = text.find('\n');
    wrap_line(text.substr(0, end), width, lines);
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string> lay_out(const std::vector<Column>& columns, std::int32_t width, std::int32_t height) {
  const auto n = static_cast<std::int32_t>(columns.size());
  if (n == 0 || height < 2 || width < 1) return {};
  const std::int32_t fitting = std::clamp((width + kGap) / (kLeastWidth + kGap), 1, n);
  const std::int32_t n_bands = std::min((n + fitting - 1) / fitting, std::max(1, height / 2));
  const std::int32_t per_band = (n + n_bands - 1) / n_bands;
  const std::int32_t column_width = std::max(1, (width - kGap * (per_band - 1)) / per_band);
  const std::int32_t band_height = height / n_bands;

  std::vector<std::string> lines;
  for (std::int32_t first = 0; first < n; first += per_band) {
    const std::int32_t last = std::min(n, first + per_band);
    std::vector<std::vector<std::string>> cells_of_band;
    std::size_t tallest = 0;
    for (std::int32_t c = first; c < last; ++c) {
      const Column& column = columns[static_cast<std::size_t>(c)];
      std::vector<std::string> text = wrap(column.text, column_width);
      const auto room = static_cast<std::size_t>(band_height - 1);
      if (text.size() > room) text.erase(text.begin(), text.end() - static_cast<std::ptrdiff_t>(room));
      text.insert(text.begin(), wrap(column.heading, column_width).front());
      tallest = std::max(tallest, text.size());
      cells_of_band.push_back(std::move(text));
    }
    if (first > 0 && tallest < static_cast<std::size_t>(band_height))
      lines.emplace_back(static_cast<std::size_t>(width), ' ');
    for (std::size_t row = 0; row < tallest; ++row) {
      std::string line;
      for (const std::vector<std::string>& column : cells_of_band) {
        if (!line.empty()) line.append(kGap, ' ');
        line += padded(row < column.size() ? column[row] : "", column_width);
      }
      lines.push_back(padded(std::move(line), width));
    }
  }
  return lines;
}

}  // namespace chat
