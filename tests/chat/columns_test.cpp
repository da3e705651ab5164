#include <columns.hpp>

#include "catch.hpp"

using chat::cells;
using chat::lay_out;
using chat::wrap;
using Lines = std::vector<std::string>;

TEST_CASE("cells count what a terminal shows, not bytes") {
  CHECK(cells("abc") == 3);
  CHECK(cells("h\u00e9") == 2);
  CHECK(cells("\u4f60\u597d") == 4);
  CHECK(cells("e\u0301") == 1);
  CHECK(cells("\xff\xe4") == 2);  // damaged bytes take one cell each
}

TEST_CASE("text is wrapped at blanks, and inside words that are too long") {
  CHECK(wrap("one two three", 7) == Lines{"one two", "three"});
  CHECK(wrap("abcdefgh", 3) == Lines{"abc", "def", "gh"});
  CHECK(wrap("a\n\nb", 5) == Lines{"a", "", "b"});
  CHECK(wrap("", 5) == Lines{""});
  CHECK(wrap("\u4f60\u597d\u5417", 4) == Lines{"\u4f60\u597d", "\u5417"});
}

TEST_CASE("columns stand side by side, all lines equally wide") {
  const Lines lines = lay_out({{"1 A", "alpha"}, {"2 B", "beta"}}, 60, 10);
  REQUIRE(lines.size() == 2);
  for (const std::string& line : lines) CHECK(cells(line) == 60);
  CHECK(lines[0].find("1 A") == 0);
  CHECK(lines[0].find("2 B") == 31);
  CHECK(lines[1].find("beta") == 31);
}

TEST_CASE("columns that do not fit go into bands, and never past the height") {
  std::vector<chat::Column> columns;
  for (int i = 0; i < 8; ++i) columns.push_back({"h", std::string(400, 'x')});
  for (const int height : {2, 3, 7, 20, 50}) {
    const Lines lines = lay_out(columns, 80, height);
    CHECK(lines.size() <= static_cast<std::size_t>(height));
    for (const std::string& line : lines) CHECK(cells(line) <= 80);
  }
}

TEST_CASE("a text longer than its band shows its end, where it grows") {
  const Lines lines = lay_out({{"h", "one\ntwo\nthree\nfour"}}, 30, 3);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].find("three") == 0);
  CHECK(lines[2].find("four") == 0);
}
