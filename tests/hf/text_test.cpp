// UTF-8 and the translation of patterns: what the tokenizer stands on.

#include "../../src/hf/split_pattern.hpp"
#include "../../src/hf/utf8.hpp"

#include "catch.hpp"
#include "files.hpp"

namespace impl = anabranch::hf::impl;

namespace {

std::vector<std::string> pieces(const impl::SplitPattern& pattern, std::string_view text) {
  std::vector<std::string> result;
  pattern.split(text, [&](std::string_view piece) { result.emplace_back(piece); });
  return result;
}

}  // namespace

TEST_CASE("Well-formed UTF-8 is told from overlong forms, surrogates, stray and missing bytes") {
  CHECK(impl::first_bad_utf8("") == 0);
  CHECK(impl::first_bad_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == 10);
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3("}) {
    INFO(bad);
    CHECK(impl::first_bad_utf8(std::string("ok") + bad) == 2);
  }
}

TEST_CASE("Every character survives being written and read") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    impl::append_utf8(c, text);
    std::size_t offset = 0;
    if (impl::first_bad_utf8(text) != text.size() || impl::next_char(text, offset) != c || offset != text.size())
      FAIL("character " << static_cast<unsigned>(c));
  }
}

TEST_CASE("A pattern cuts a text into matches and what lies between them") {
  const impl::SplitPattern digits("\\p{N}", "here");
  CHECK(pieces(digits, "ab12c") == std::vector<std::string>{"ab", "1", "2", "c"});
  CHECK(pieces(digits, "").empty());
  CHECK(pieces(impl::SplitPattern::literal("(.", "here"), "a(.b(.") == std::vector<std::string>{"a", "(.", "b", "(."});
  CHECK(pieces(impl::SplitPattern("x*", "here"), "axxb") == std::vector<std::string>{"a", "xx", "b"});
}

TEST_CASE("White space in patterns is Unicode's, not PCRE2's") {
  const impl::SplitPattern space("\\s+", "here"), other("[^\\s]+", "here"), no_space("\\S+", "here");
  const std::string text =
      "a\xE1\xA0\x8E\xC2\xA0\xE3\x80\x80"
      "b";  // U+180E is no white space, U+00A0 and U+3000 are
  const std::vector<std::string> expected{"a\xE1\xA0\x8E", "\xC2\xA0\xE3\x80\x80", "b"};
  CHECK(pieces(space, text) == expected);
  CHECK(pieces(other, text) == expected);
  CHECK(pieces(no_space, text) == expected);
}

TEST_CASE("Pattern constructs that may mean something else are refused by name") {
  for (const char* construct :
       {"\\w",       "\\b",   "\\h",   "\\R",   "\\K",         "\\v",    "\\1",      "(?i)a",      "(?<name>a)",
        "(*ACCEPT)", "^",     "$",     ".",     "[[:alpha:]]", "[a&&b]", "\\p{Han}", "\\p{Latin}", "\\pL",
        "{,3}",      "a{2}+", "a{2}?", "\\xe9", "\\x{}",       "\\u12",  "\\",       "[]a]"}) {
    INFO(construct);
    CHECK(test::error_of([&] { impl::translate_pattern(construct, "here"); }).find("unsupported: here: '") == 0);
  }
  CHECK(test::error_of([] { impl::SplitPattern("(a", "here"); }).find("bad_file: here: pattern cannot be compiled") ==
        0);
  CHECK(test::error_of([] { impl::SplitPattern("[a", "here"); }).find("bad_file: here: unclosed class") == 0);
  CHECK(impl::translate_pattern("\\d[^\\d]\\u00e9\\x{1F600}\\p{^L}(?<=a)b{1,3}", "here") ==
        "\\p{Nd}[^\\p{Nd}]\\x{00e9}\\x{1F600}\\p{^L}(?<=a)b{1,3}");
}
