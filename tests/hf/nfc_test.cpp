// Canonical composition: literal cases, recordings made by record_nfc.py (Unicode 14), and long runs of marks.

#include <chrono>
#include <set>

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

std::string nfc(std::u32string_view characters) { return impl::nfc(utf8(characters)); }

std::string repeat(std::u32string_view characters, std::size_t n) {
  const std::string text = utf8(characters);
  std::string result;
  for (std::size_t i = 0; i < n; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("Composed text, plain text and no text stay as they are") {
  CHECK(impl::nfc("").empty());
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
  CHECK(impl::nfc(zero) == zero);
  CHECK(impl::nfc(apart + zero + apart) == accented + zero + accented);
  CHECK(impl::nfc("e" + zero + utf8(U"\u0301")) == "e" + zero + utf8(U"\u0301"));
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
  for (const std::string& line : lines) {
    const std::size_t tab = line.find('\t');
    const std::string text = line.substr(0, tab), composed = line.substr(tab + 1);
    INFO(nlohmann::json(text).dump(-1, ' ', true));
    REQUIRE(impl::nfc(text) == composed);
    REQUIRE(impl::nfc(composed) == composed);
    changed.insert(text);
  }
  for (char32_t c = 0; c < 0x10000; ++c) {  // later versions of Unicode add characters that decompose in other planes
    const std::string text = c >= 0xd800 && c < 0xe000 ? "" : utf8({&c, 1});
    if (changed.count(text) == 0 && impl::nfc(text) != text) FAIL("character " << static_cast<unsigned>(c));
  }
}

TEST_CASE("A megabyte of combining marks in the worst order does not take quadratic time") {
  const std::size_t n = 250000;
  const auto begin = std::chrono::steady_clock::now();
  CHECK(impl::nfc("q" + repeat(U"\u0301", n) + repeat(U"\u0316", n)) ==
        "q" + repeat(U"\u0316", n) + repeat(U"\u0301", n));
  CHECK(impl::nfc(repeat(U"e\u0301", n)) == repeat(U"\u00e9", n));
  CHECK(impl::nfc(repeat(U"\u11a7", n)) == repeat(U"\u11a7", n));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));  // quadratic time: half an hour
}
