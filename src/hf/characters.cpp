#include "characters.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "unicode_tables.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

// The range of a sorted table that holds the character, or nullptr.
template <class Range, std::size_t n>
const Range* range_of(const Range (&table)[n], char32_t c) noexcept {
  const Range* behind = std::upper_bound(std::begin(table), std::end(table), c,
                                         [](char32_t value, const Range& range) { return value < range.first; });
  if (behind == std::begin(table) || c > std::prev(behind)->last) return nullptr;
  return std::prev(behind);
}

// The character that ends a text, which is not empty; `begin` becomes its place.
char32_t last_char(std::string_view text, std::size_t& begin) noexcept {
  begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  std::size_t after = begin;
  return next_char(text, after);
}

}  // namespace

bool is_white_space(char32_t c) noexcept {
  return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_numeric(char32_t c) noexcept { return c < 0x80 ? c >= '0' && c <= '9' : range_of(kNumeric, c) != nullptr; }
bool is_punctuation(char32_t c) noexcept { return range_of(kPunctuation, c) != nullptr; }
bool is_word(char32_t c) noexcept { return range_of(kWord, c) != nullptr; }
bool is_newer(char32_t c) noexcept { return range_of(kNewer, c) != nullptr; }

char32_t stand_in(char32_t c) noexcept {
  // Which blocks of 256 characters have one that is replaced: few, and most texts have none of them.
  static constexpr std::array<bool, 0x400> kBlocks = [] {
    std::array<bool, 0x400> blocks{};
    for (const StandIn& run : kLaterCategory)
      for (char32_t block = run.first >> 8; block <= run.last >> 8; ++block) blocks[block] = true;
    return blocks;
  }();
  if (c >> 8 >= kBlocks.size() || !kBlocks[c >> 8]) return c;
  const StandIn* run = range_of(kLaterCategory, c);
  return run ? run->other : c;
}

std::size_t leading_space(std::string_view text) noexcept {
  std::size_t end = 0;
  while (end < text.size()) {
    std::size_t after = end;
    if (!is_white_space(next_char(text, after))) break;
    end = after;
  }
  return end;
}

std::size_t trailing_space(std::string_view text) noexcept {
  std::size_t end = text.size(), begin = 0;
  while (end > 0 && is_white_space(last_char(text.substr(0, end), begin))) end = begin;
  return end;
}

bool starts_with_word(std::string_view text) noexcept {
  std::size_t after = 0;
  return !text.empty() && is_word(next_char(text, after));
}

bool ends_with_word(std::string_view text) noexcept {
  std::size_t begin = 0;
  return !text.empty() && is_word(last_char(text, begin));
}

void append_lower(char32_t c, std::string& out) {
  if (c == 0x130) {  // the one letter whose lower case is two characters
    out += "i\xCC\x87";
    return;
  }
  const LowerRange* range = range_of(kLower, c);
  const bool changes = range && (c - range->first) % range->step == 0;
  append_utf8(changes ? static_cast<char32_t>(static_cast<std::int32_t>(c) + range->distance) : c, out);
}

}  // namespace anabranch::hf::impl
