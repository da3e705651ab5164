// The text of titles: whole characters, and the comparison that a reader makes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include <anabranch/utf8.hpp>
#include <anabranch/version.hpp>

namespace anabranch::markup::impl {

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

inline bool all_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_blank); }

/// Without blanks around it and punctuation behind it.
inline std::string_view trim_title(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && (is_blank(text.back()) || text.back() == ':' || text.back() == '.' || text.back() == '*'))
    text.remove_suffix(1);
  return text;
}

/// The characters of `text`: bytes that are none become U+FFFD, and one that is unfinished at the end is left out.
inline std::string whole_characters(std::string_view text) {
  using Kind = anabranch::impl::Utf8Piece::Kind;
  std::string characters;
  while (!text.empty()) {
    const anabranch::impl::Utf8Piece piece = anabranch::impl::first_utf8_piece(text);
    if (piece.kind == Kind::unfinished) break;
    characters += piece.kind == Kind::whole ? text.substr(0, piece.n_bytes) : std::string_view("\xef\xbf\xbd");
    text.remove_prefix(piece.n_bytes);
  }
  return characters;
}

inline bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace anabranch::markup::impl
