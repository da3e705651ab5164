// utf8proc knows the characters and composes them. Two of its habits are worked around (seen in 2.8.0). utf8proc_map
// orders marks by exchanging neighbours, which takes minutes for 200,000 of them, so they are ordered here. And its
// composition drops U+11A7 behind a Hangul syllable, so each piece that it is given ends before such a character.
//
// Its Unicode is newer than the reference's, and may be any from 14 on. For the characters that both know, Unicode
// promises that nothing changes. The others are passed on, as the reference does: they compose with nothing, so that
// the text before and behind them can be treated apart.
#include "normal_forms.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include <anabranch/error.hpp>

#include "characters.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

using Char = utf8proc_int32_t;
using Chars = std::vector<Char>;

constexpr char32_t kFirstChanged = 0xa0;     // no character below it decomposes or combines
constexpr char32_t kFirstCombining = 0x300;  // every character below it is composed, and none combines
constexpr Char kNoTrail = 0x11a7;            // one before the first trailing consonant of Hangul, itself not one

bool is_compatible(NormalForm form) { return form == NormalForm::nfkc || form == NormalForm::nfkd; }
bool is_composed(NormalForm form) { return form == NormalForm::nfc || form == NormalForm::nfkc; }

auto combining_class(Char c) { return utf8proc_get_property(c)->combining_class; }

void decompose(char32_t c, NormalForm form, Chars& out) {
  const Char value = static_cast<Char>(c);
  if (c < kFirstChanged) return out.push_back(value);
  std::array<Char, 24> parts;  // the longest decomposition has 18 characters
  int unused = 0;              // for UTF8PROC_CHARBOUND
  const auto options =
      static_cast<utf8proc_option_t>(is_compatible(form) ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
  const auto n =
      utf8proc_decompose_char(value, parts.data(), static_cast<utf8proc_ssize_t>(parts.size()), options, &unused);
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

// Appends decomposed characters in their form, and empties them.
void append_ordered(Chars& chars, NormalForm form, std::string& out) {
  order_marks(chars);
  if (!is_composed(form))
    std::for_each(chars.begin(), chars.end(), [&out](Char c) { append_utf8(static_cast<char32_t>(c), out); });
  for (auto begin = chars.begin(); is_composed(form) && begin != chars.end();) {
    const auto end = std::find(begin + 1, chars.end(), kNoTrail);
    append_composed(begin, end, out);
    begin = end;
  }
  chars.clear();
}

// Does no character of the text change?
bool is_plain(std::string_view text, NormalForm form) {
  // The first byte of U+0300 is 0xcc, that of U+00A0 is 0xc2.
  const unsigned char first_changed = form == NormalForm::nfc ? 0xcc : 0xc2;
  return std::all_of(text.begin(), text.end(),
                     [first_changed](char byte) { return static_cast<unsigned char>(byte) < first_changed; });
}

}  // namespace

std::string normal_form(std::string_view text, NormalForm form) {
  if (is_plain(text, form)) return std::string(text);
  Chars chars;
  chars.reserve(text.size());
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = next_char(text, i);
    if (c < kFirstCombining || !is_newer(c)) {
      decompose(c, form, chars);
    } else {
      append_ordered(chars, form, result);
      append_utf8(c, result);
    }
  }
  append_ordered(chars, form, result);
  return result;
}

}  // namespace anabranch::hf::impl
