// The comparison of titles as a reader compares them.
#pragma once

#include <algorithm>
#include <string_view>

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

inline bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace anabranch::markup::impl
