// Normal forms: literal cases, recordings made by record_nfc.py (Unicode 14) and record_unicode.py, long runs of marks.

#include <chrono>
#include <cstdio>
#include <set>

#include "../../src/hf/characters.hpp"
#include "../../src/hf/normal_forms.hpp"
#include "../../src/hf/split_pattern.hpp"
#include "../../src/hf/utf8.hpp"

#include "catch.hpp"
#include "files.hpp"

namespace impl = anabranch::hf::impl;

namespace {

std::string utf8(std::u32string_view characters) {
  std::string text;
  for (const char32_t c : characters) impl::append_utf8(c, text);
  return text;
}

std::string nfc_of(std::string_view text) { return impl::normal_form(text, impl::NormalForm::nfc); }
std::string nfc(std::u32string_view characters) { return nfc_of(utf8(characters)); }

// As record_unicode.py sums them up.
std::string character_sum(std::string_view text) {
  std::uint64_t total = 0xcbf29ce484222325u;
  for (const char byte : text) total = (total ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  char shown[20];
  std::snprintf(shown, sizeof shown, "%016llx", static_cast<unsigned long long>(total));
  return shown;
}

bool has_newer(std::string_view text) {
  for (std::size_t i = 0; i < text.size();)
    if (impl::is_newer(impl::next_char(text, i))) return true;
  return false;
}

template <class Take>
void each_character(char32_t begin, char32_t end, const Take& take) {
  for (char32_t c = std::max<char32_t>(begin, 0x80); c < end; ++c)
    if (c < 0xd800 || c >= 0xe000) take(c);
}

std::string form_sum(impl::NormalForm form, char32_t first) {
  std::string text;
  each_character(first, first + 0x2000, [&](char32_t c) {
    const char32_t parts[] = {U'\n', c, U'\n', 0x345, c, 0x334};
    for (const char32_t part : parts) impl::append_utf8(part, text);
  });
  return character_sum(impl::normal_form(text, form));
}

// The line without its first word.
template <class Has>
std::string kind_line(const Has& has) {
  std::string text;
  std::size_t n = 0;
  each_character(0, 0x20000, [&](char32_t c) {
    if (!has(c)) return;
    impl::append_utf8(c, text);
    ++n;
  });
  return std::to_string(n) + " " + character_sum(text);
}

std::string category_line(const std::string& name, std::string_view text) {
  std::string pieces;
  std::size_t n = 0;
  impl::SplitPattern("\\p{" + name + "}+", "here").find_matches(text, [&](std::size_t begin, std::size_t end) {
    pieces.append(text.substr(begin, end - begin)).append("\n");
    ++n;
  });
  return std::to_string(n) + " " + character_sum(pieces);
}

std::string repeat(std::u32string_view characters, std::size_t n) {
  const std::string text = utf8(characters);
  std::string result;
  for (std::size_t i = 0; i < n; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("Composed text, plain text and no text stay as they are") {
  CHECK(nfc_of("").empty());
  for (const char32_t* text :
       {U"plain", U"caf\u00e9 \u1ea5", U"\uac01\ud7a3", U"\u4e2d\U0001f600", U"\ufffe\U0010ffff"})
    CHECK(nfc(text) == utf8(text));
}

TEST_CASE("Canonical composition follows Unicode's own hard cases") {
  CHECK(nfc(U"e\u0301") == utf8(U"\u00e9"));
  CHECK(nfc(U"a\u0302\u0301") == utf8(U"\u1ea5"));                   // in two steps
  CHECK(nfc(U"\u0301e") == utf8(U"\u0301e"));                        // a mark without a letter
  CHECK(nfc(U"\u212b\u2126\uf900") == utf8(U"\u00c5\u03a9\u8c48"));  // singletons: each is one other character
  CHECK(nfc(U"\u0958\U0001d15e") == utf8(U"\u0915\u093c\U0001d157\U0001d165"));  // excluded from composition
  CHECK(nfc(U"\u0915\u093c") == utf8(U"\u0915\u093c"));
  CHECK(nfc(U"q\u0307\u0323") == utf8(U"q\u0323\u0307"));              // marks go in order of their class
  CHECK(nfc(U"q\u0323\u0307\u0324") == utf8(U"q\u0323\u0324\u0307"));  // equal classes keep theirs
  CHECK(nfc(U"a\u0316\u0301") == utf8(U"\u00e1\u0316"));               // composes past a mark of a lower class
  CHECK(nfc(U"a\u0305\u0301") == utf8(U"a\u0305\u0301"));              // blocked by a mark of the same class
  CHECK(nfc(U"\u1e0b\u0323") == utf8(U"\u1e0d\u0307"));                // decomposed, ordered, composed anew
}

TEST_CASE("A zero byte is a character like any other") {
  const std::string zero(1, '\0'), accented = utf8(U"\u00e9"), apart = utf8(U"e\u0301");
  CHECK(nfc_of(zero) == zero);
  CHECK(nfc_of(apart + zero + apart) == accented + zero + accented);
  CHECK(nfc_of("e" + zero + utf8(U"\u0301")) == "e" + zero + utf8(U"\u0301"));
}

TEST_CASE("Every Hangul syllable is composed of its letters") {
  for (char32_t syllable = 0xac00; syllable < 0xd7a4; ++syllable) {
    const char32_t index = syllable - 0xac00, trail = index % 28;
    std::u32string letters{0x1100 + index / 588, 0x1161 + index / 28 % 21};
    if (trail != 0) letters += 0x11a7 + trail;
    INFO("syllable " << static_cast<unsigned>(syllable));
    REQUIRE(nfc(letters) == utf8({&syllable, 1}));
    REQUIRE(nfc({&syllable, 1}) == utf8({&syllable, 1}));
  }
  CHECK(nfc(U"\uac00\u11a8") == utf8(U"\uac01"));        // syllable + trailing letter
  CHECK(nfc(U"\uac01\u11a8") == utf8(U"\uac01\u11a8"));  // has one already
  CHECK(nfc(U"\uac00\u11a7") == utf8(U"\uac00\u11a7"));  // U+11A7 is no trailing letter, and is kept
  CHECK(nfc(U"\u1100\u1161\u11a7\u11a7\u0301e\u0301") == utf8(U"\uac00\u11a7\u11a7\u0301\u00e9"));
}

TEST_CASE("Composition equals the recorded one, and characters that are not in the recording stay as they are") {
  const auto lines = test::lines_of(test::recordings() / "nfc.tsv");
  REQUIRE(lines.size() > 4000);
  std::set<std::string> changed;
  int n_newer = 0;
  for (const std::string& line : lines) {
    const std::size_t tab = line.find('\t');
    const std::string text = line.substr(0, tab), composed = line.substr(tab + 1);
    INFO(nlohmann::json(text).dump(-1, ' ', true));
    if (has_newer(text)) {  // Unicode 14 knows them, the reference does not
      ++n_newer;
      continue;
    }
    REQUIRE(nfc_of(text) == composed);
    REQUIRE(nfc_of(composed) == composed);
    changed.insert(text);
  }
  CHECK(n_newer < 1000);
  for (char32_t c = 0; c < 0x10000; ++c) {  // later versions of Unicode add characters that decompose in other planes
    const std::string text = c >= 0xd800 && c < 0xe000 ? "" : utf8({&c, 1});
    if (changed.count(text) == 0 && nfc_of(text) != text) FAIL("character " << static_cast<unsigned>(c));
  }
}

TEST_CASE("A megabyte of combining marks in the worst order does not take quadratic time") {
  const std::size_t n = 250000;
  const auto begin = std::chrono::steady_clock::now();
  CHECK(nfc_of("q" + repeat(U"\u0301", n) + repeat(U"\u0316", n)) == "q" + repeat(U"\u0316", n) + repeat(U"\u0301", n));
  CHECK(nfc_of(repeat(U"e\u0301", n)) == repeat(U"\u00e9", n));
  CHECK(nfc_of(repeat(U"\u11a7", n)) == repeat(U"\u11a7", n));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));  // quadratic time: half an hour
}

TEST_CASE("Characters that are newer than the reference's tables stay where they are and compose with nothing") {
  for (const char32_t* text : {U"q\U00010d27\U00010f46", U"q\u08cd\u0656", U"q\U0001e4ec\u0316",
                               U"\U00011935\U00011930", U"\u0301\u08cd\u0316"})
    for (const auto form :
         {impl::NormalForm::nfc, impl::NormalForm::nfd, impl::NormalForm::nfkc, impl::NormalForm::nfkd})
      CHECK(impl::normal_form(utf8(text), form) == utf8(text));
  CHECK(nfc(U"e\u08cd\u0301e\u0301") == utf8(U"e\u08cd\u0301\u00e9"));
  CHECK(impl::normal_form(utf8(U"\u32fe\u32ff"), impl::NormalForm::nfkc) == utf8(U"\u30f2\u32ff"));
}

TEST_CASE("Normal forms, categories and kinds of characters equal the recorded ones in the first two planes") {
  std::string text, lower;
  each_character(0, 0x20000, [&](char32_t c) {
    impl::append_utf8(c, text);
    impl::append_lower(c, lower);
  });
  const std::vector<std::string> forms{"NFC", "NFD", "NFKC", "NFKD"};  // as in NormalForm
  const auto found_for = [&](const std::string& name, const std::string& number) -> std::string {
    if (const auto form = std::find(forms.begin(), forms.end(), name); form != forms.end())
      return number + " " +
             form_sum(static_cast<impl::NormalForm>(form - forms.begin()), static_cast<char32_t>(std::stoul(number)));
    if (name == "numeric") return kind_line(impl::is_numeric);
    if (name == "punctuation") return kind_line(impl::is_punctuation);
    if (name == "word") return kind_line(impl::is_word);
    if (name == "lower") return number + " " + character_sum(lower);
    return category_line(name, text);
  };
  const auto lines = test::lines_of(test::recordings() / "unicode.sums");
  REQUIRE(lines.size() == 80);
  for (const std::string& line : lines) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space), rest = line.substr(space + 1);
    INFO(line);
    CHECK(found_for(name, rest.substr(0, rest.find(' '))) == rest);
  }
}
