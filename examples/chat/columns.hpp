// Texts side by side on a terminal: pure layout, no terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chat {

/// One column: a heading and the text below it.
struct Column {
  std::string heading;
  std::string text;
};

/// Terminal cells that UTF-8 text takes: 0 for combining marks, 2 for wide characters. Damaged bytes take one.
std::int32_t cells(std::string_view text);

/// Breaks text into lines of at most `width` cells, at blanks where there are some. Line breaks in it are kept.
std::vector<std::string> wrap(std::string_view text, std::int32_t width);

/// Lays columns out in bands of equally wide columns, at most `width` cells wide and `height` lines high in all. Where
/// a text has more lines than its band, its last ones are shown, as it grows there. Every line is padded to full width.
std::vector<std::string> lay_out(const std::vector<Column>& columns, std::int32_t width, std::int32_t height);

}  // namespace chat
