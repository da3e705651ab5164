// Canonical composition as Unicode Annex 15 describes it: decompose, order the combining marks, compose.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "utf8.hpp"

namespace anabranch::hf::impl {
namespace {

/// Characters [begin, end) have this canonical combining class, which is not 0.
struct ClassRun {
  char32_t begin, end;
  std::uint8_t combining_class;
};
/// `composed` is `first` + `second` (0: a single other character); `composes`: the pair goes back to it.
struct Decomposition {
  char32_t composed, first, second;
  bool composes;
};
#include "nfc_tables.inc"

// Hangul syllables: leading consonants x vowels x (none or a trailing consonant).
constexpr char32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11a7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTrailCount = 28, kSyllableCount = 11172;

int combining_class(char32_t c) noexcept {
  if (c < kClasses.front().begin) return 0;
  const auto run = std::upper_bound(kClasses.begin(), kClasses.end(), c,
                                    [](char32_t value, const ClassRun& entry) { return value < entry.end; });
  return run != kClasses.end() && c >= run->begin ? run->combining_class : 0;
}

void decompose(char32_t c, std::vector<char32_t>& out) {
  if (c >= kSyllables && c < kSyllables + kSyllableCount) {
    const char32_t index = c - kSyllables;
    out.push_back(kLeads + index / (kVowelCount * kTrailCount));
    out.push_back(kVowels + index / kTrailCount % kVowelCount);
    if (index % kTrailCount != 0) out.push_back(kTrails + index % kTrailCount);
    return;
  }
  const auto entry = std::lower_bound(kDecompositions.begin(), kDecompositions.end(), c,
                                      [](const Decomposition& d, char32_t value) { return d.composed < value; });
  if (entry == kDecompositions.end() || entry->composed != c) {
    out.push_back(c);
    return;
  }
  decompose(entry->first, out);  // at most a few levels deep: Unicode's own data
  if (entry->second != 0) decompose(entry->second, out);
}

// (first, second) -> composed, ordered by the pair.
const std::vector<Decomposition>& compositions() {
  static const std::vector<Decomposition> table = [] {
    std::vector<Decomposition> pairs;
    for (const Decomposition& entry : kDecompositions)
      if (entry.composes) pairs.push_back(entry);
    std::sort(pairs.begin(), pairs.end(), [](const Decomposition& a, const Decomposition& b) {
      return a.first != b.first ? a.first < b.first : a.second < b.second;
    });
    return pairs;
  }();
  return table;
}

/// 0 if the pair does not compose.
char32_t compose(char32_t first, char32_t second) {
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTrailCount;
  const bool syllable_without_trail =
      first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTrailCount == 0;
  if (syllable_without_trail && second > kTrails && second < kTrails + kTrailCount) return first + (second - kTrails);
  const auto& table = compositions();
  const auto entry = std::lower_bound(table.begin(), table.end(), Decomposition{0, first, second, true},
                                      [](const Decomposition& a, const Decomposition& b) {
                                        return a.first != b.first ? a.first < b.first : a.second < b.second;
                                      });
  return entry != table.end() && entry->first == first && entry->second == second ? entry->composed : 0;
}

// Marks between two starters go in order of their class; equal classes keep theirs.
void order_marks(std::vector<char32_t>& chars) {
  const auto is_starter = [](char32_t c) { return combining_class(c) == 0; };
  for (auto begin = chars.begin(); begin != chars.end();) {
    begin = std::find_if_not(begin, chars.end(), is_starter);
    const auto end = std::find_if(begin, chars.end(), is_starter);
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

// A mark joins the last starter unless something of its class or a higher one, or another starter, stands between.
void compose_in_place(std::vector<char32_t>& chars) {
  constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  std::size_t starter = kNowhere, size = 0;
  int last_class = 0;  // of the character kept last, behind the starter
  for (const char32_t c : chars) {
    const int own_class = combining_class(c);
    const bool adjacent = starter != kNowhere && size == starter + 1;
    const bool reachable = starter != kNowhere && (adjacent || (last_class < own_class && last_class != 0));
    const char32_t joined = reachable ? compose(chars[starter], c) : 0;
    if (joined != 0) {
      chars[starter] = joined;
      continue;
    }
    if (own_class == 0) starter = size;
    last_class = own_class;
    chars[size++] = c;
  }
  chars.resize(size);
}

}  // namespace

std::string nfc(std::string_view text) {
  // Nothing below U+0300 changes: every character there is composed and none combines.
  if (std::all_of(text.begin(), text.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0xcc; }))
    return std::string(text);
  std::vector<char32_t> chars;
  chars.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) decompose(next_char(text, i), chars);
  order_marks(chars);
  compose_in_place(chars);
  std::string result;
  result.reserve(text.size());
  for (const char32_t c : chars) append_utf8(c, result);
  return result;
}

}  // namespace anabranch::hf::impl
