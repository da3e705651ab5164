// UTF-8 and the translation of patterns: what the tokenizer stands on.

#include <utility>

#include <anabranch/utf8.hpp>

#include "../../src/hf/matcher.hpp"
#include "../../src/hf/pieces.hpp"
#include "../../src/hf/split_pattern.hpp"
#include "../../src/hf/utf8.hpp"

#include "catch.hpp"
#include "files.hpp"

namespace impl = anabranch::hf::impl;

namespace {

// Pieces of a text in brackets.
std::string cut(const impl::Matcher& matcher, std::string_view text, impl::Delimiters delimiters) {
  std::string out;
  const auto take = [&](std::size_t begin, std::size_t end) {
    out.append("[").append(text.substr(begin, end - begin)).append("]");
  };
  impl::Joiner<decltype(take)> joiner(delimiters, take);
  std::size_t done = 0;
  matcher.find_matches(text, [&](std::size_t begin, std::size_t end) {
    if (begin > done) joiner.add(done, begin, false);
    joiner.add(begin, end, true);
    done = end;
  });
  if (done < text.size()) joiner.add(done, text.size(), false);
  joiner.flush();
  return out;
}

impl::Matcher pattern(const char* text) { return impl::Matcher(impl::SplitPattern(text, "here")); }

std::string pieces(const impl::Matcher& matcher, std::string_view text) {
  return cut(matcher, text, impl::Delimiters::isolated);
}

}  // namespace

TEST_CASE("Well-formed UTF-8 is told from overlong forms, surrogates, stray and missing bytes") {
  CHECK(anabranch::first_bad_utf8("") == 0);
  CHECK(anabranch::first_bad_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == 10);
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3("}) {
    INFO(bad);
    CHECK(anabranch::first_bad_utf8(std::string("ok") + bad) == 2);
  }
}

TEST_CASE("Every character survives being written and read") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    impl::append_utf8(c, text);
    std::size_t offset = 0;
    if (anabranch::first_bad_utf8(text) != text.size() || impl::next_char(text, offset) != c || offset != text.size())
      FAIL("character " << static_cast<unsigned>(c));
  }
}

TEST_CASE("A pattern cuts a text into matches and what lies between them") {
  CHECK(pieces(pattern("\\p{N}"), "ab12c") == "[ab][1][2][c]");
  CHECK(pieces(pattern("\\p{N}"), "").empty());
  CHECK(pieces(impl::Matcher(std::string("(.")), "a(.b(.") == "[a][(.][b][(.]");
  CHECK(pieces(pattern("x*"), "axxb") == "[a][xx][b]");
}

TEST_CASE("Delimiters are removed, isolated, joined with each other, or with a neighbour") {
  const impl::Matcher dash{std::string("-")};
  const std::string text = "-the-final--countdown-";
  CHECK(cut(dash, text, impl::Delimiters::removed) == "[the][final][countdown]");
  CHECK(cut(dash, text, impl::Delimiters::isolated) == "[-][the][-][final][-][-][countdown][-]");
  CHECK(cut(dash, text, impl::Delimiters::contiguous) == "[-][the][-][final][--][countdown][-]");
  CHECK(cut(dash, text, impl::Delimiters::merged_with_previous) == "[-][the-][final-][-][countdown-]");
  CHECK(cut(dash, text, impl::Delimiters::merged_with_next) == "[-the][-final][-][-countdown][-]");
}

TEST_CASE("Bytes become text with one sign for each part that is none") {
  const std::string sign = "\xEF\xBF\xBD";
  for (const auto& [bytes, text] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"ab", "ab"},
                                                        {"a\xFF"
                                                         "b",
                                                         "a" + sign + "b"},
                                                        {"\xE4\xBD", sign},
                                                        {"\xE4\xBDz", sign + "z"},
                                                        {"\xF0\x9F\x98", sign},
                                                        {"\xF0\x9F", sign},
                                                        {"\xED\xA0\x80", sign + sign + sign},
                                                        {"\xC3\xC3\xA9", sign + "\xC3\xA9"},
                                                        {"\xF4\x90\x80\x80", sign + sign + sign + sign}}) {
    std::string out;
    impl::append_as_text(bytes, out);
    CHECK(out == text);
  }
}

TEST_CASE("White space in patterns is Unicode's, not PCRE2's") {
  const std::string text =
      "a\xE1\xA0\x8E\xC2\xA0\xE3\x80\x80"
      "b";  // U+180E is no white space, U+00A0 and U+3000 are
  for (const char* words : {"\\s+", "[^\\s]+", "\\S+"})
    CHECK(pieces(pattern(words), text) == "[a\xE1\xA0\x8E][\xC2\xA0\xE3\x80\x80][b]");
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
  CHECK(impl::translate_pattern("\\d[^\\d]\\u00e9\\x{1F600}\\p{^L}(?<=a)b{1,3}", "here").pattern ==
        "\\p{Nd}[^\\p{Nd}]\\x{00e9}\\x{1F600}\\p{^L}(?<=a)b{1,3}");
}

TEST_CASE("Characters that PCRE2 may not know are matched by the category that the reference knows") {
  const std::string ideograph = "\xF0\xAE\xAF\xB0", digit = "\xF0\x9E\x93\xB1";  // U+2EBF0, U+1E4F1: Unicode 15
  CHECK(pieces(pattern("\\p{L}+|\\p{N}"), "a" + ideograph + "!" + digit + digit) ==
        "[a" + ideograph + "][!][" + digit + "][" + digit + "]");
  CHECK(pieces(pattern("[\\x{20000}-\\x{2ffff}]+"), "a" + ideograph) == "[a][" + ideograph + "]");
  CHECK(test::error_of([] { impl::translate_pattern("[\\x{20000}-\\x{2ffff}]|\\p{L}", "here"); }) ==
        "unsupported: here: '\xF0\xA0\x80\x80-\xF0\xAF\xBF\xBF beside general categories' in the pattern "
        "[\\x{20000}-\\x{2ffff}]|\\p{L} is not supported");
}
