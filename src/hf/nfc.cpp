// Canonical composition (NFC) as Unicode Annex 15 describes it: decompose, order the combining marks, compose.
//
// utf8proc knows the characters and composes them. Two of its habits are worked around (seen in 2.8.0). utf8proc_map
// orders marks by exchanging neighbours, which takes minutes for 200,000 of them, so they are ordered here. And its
// composition drops U+11A7 behind a Hangul syllable, so each piece that it is given ends before such a character.

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include <anabranch/error.hpp>

#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

using Char = utf8proc_int32_t;
using Chars = std::vector<Char>;

constexpr char32_t kFirstChanged = 0xc0;  // no character below it decomposes or combines
constexpr Char kNoTrail = 0x11a7;         // one before the first trailing consonant of Hangul, itself not one

auto combining_class(Char c) { return utf8proc_get_property(c)->combining_class; }

void decompose(char32_t c, Chars& out) {
  const Char value = static_cast<Char>(c);
  if (c < kFirstChanged) return out.push_back(value);
  std::array<Char, 8> parts;  // canonical decompositions have at most four characters
  int unused = 0;             // for UTF8PROC_CHARBOUND
  const auto n = utf8proc_decompose_char(value, parts.data(), static_cast<utf8proc_ssize_t>(parts.size()),
                                         UTF8PROC_DECOMPOSE, &unused);
  ANABRANCH_ASSERT(n > 0 && n <= static_cast<utf8proc_ssize_t>(parts.size()));
  out.insert(out.end(), parts.begin(), parts.begin() + n);
}

// Marks between two starters go in order of their class; equal classes keep theirs.
void order_marks(Chars& chars) {
  const auto is_starter = [](Char c) { return combining_class(c) == 0; };
  for (auto begin = chars.begin(); begin != chars.end();) {
    begin = std::find_if_not(begin, chars.end(), is_starter);
    const auto end = std::find_if(begin, chars.end(), is_starter);
    std::stable_sort(begin, end, [](Char a, Char b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

/// Requires begin < end.
void append_composed(Chars::iterator begin, Chars::iterator end, std::string& out) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto n = utf8proc_normalize_utf32(&*begin, end - begin, kOptions);
  ANABRANCH_ASSERT(n >= 0 && n <= end - begin);
  std::for_each(begin, begin + n, [&out](Char c) { append_utf8(static_cast<char32_t>(c), out); });
}

}  // namespace

std::string nfc(std::string_view text) {
  // Nothing below U+0300 changes: every character there is composed and none combines.
  if (std::all_of(text.begin(), text.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0xcc; }))
    return std::string(text);
  Chars chars;
  chars.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) decompose(next_char(text, i), chars);
  order_marks(chars);
  std::string result;
  result.reserve(text.size());
  for (auto begin = chars.begin(); begin != chars.end();) {
    const auto end = std::find(begin + 1, chars.end(), kNoTrail);
    append_composed(begin, end, result);
    begin = end;
  }
  return result;
}

}  // namespace anabranch::hf::impl
