// The form that a model is trained on: wording kept, markers dropped, white space fixed.
#include "catch.hpp"
#include "corpus/trees.hpp"

namespace {

namespace corpus = anabranch::corpus;

std::string parts_of(std::string_view answer, const corpus::PartsOptions& options = {}) {
  return anabranch::test::shown(corpus::parts(corpus::extract(answer), options));
}

}  // namespace

TEST_CASE("a branch is its title, a colon, a blank, its body and a line break") {
  CHECK(parts_of("So:\n\n1. **A**: x.\n2. B - y.\n3. Care. z.") == "So://{A: x./; B: y./; Care: z./}");
  CHECK(parts_of("- **A**\n\n  x.\n\n- **B**\n\n  y.\n") == "{A: x./; B: y./}");
  CHECK(parts_of("First, x.\n\nSecond, y.\n\n") == "{First: x./; Second: y./}");
}

TEST_CASE("serial text keeps its bytes, but for blanks around the answer") {
  CHECK(parts_of("\n  Text.  \n\nMore.\n\n") == "Text.  //More.");
  CHECK(parts_of("") == "");
  CHECK(parts_of(" \n\n") == "");
}

TEST_CASE("text behind a block begins with the line breaks that stood there, less one") {
  CHECK(parts_of("1. A: x.\n2. B: y.\n\nEnd.") == "{A: x./; B: y./}/End.");
  CHECK(parts_of("1. A: x.\n2. B: y.\n\n\n\nEnd.\n") == "{A: x./; B: y./}///End.");
  CHECK(parts_of("1. A: x.\n2. B: y.\nEnd.") == "{A: x./; B: y./}End.");
  CHECK(parts_of("1. A: x.\r\n2. B: y.\r\n\r\nEnd.") == "{A: x./; B: y./}^/End.");
}

TEST_CASE("further lines lose the indentation that they share") {
  CHECK(parts_of("1. A: x\n   more\n     deeper\n2. B: y\n") == "{A: x/more/  deeper/; B: y/}");
  CHECK(parts_of("1. A\n   x\n\n   more\n2. B\n   y\n") == "{A: x//more/; B: y/}");
}

TEST_CASE("code, tables and lists stay on lines of their own") {
  CHECK(parts_of("1. A:\n   ```\n   code\n   ```\n2. B: y\n") == "{A:/```/code/```/; B: y/}");
  CHECK(parts_of("## A\n| p |\n|---|\n## B\n- only one\n") == "{A:/| p |/|---|/; B:/- only one/}");
}

TEST_CASE("nested blocks are parts of their branch") {
  CHECK(parts_of("1. A: so\n   - p: x\n   - q: y\n\n   then\n2. B: y\n") == "{A: so/{p: x/; q: y/}/then/; B: y/}");
  CHECK(parts_of("1. A:\n   - p: x\n   - q: y\n2. B: y\n") == "{A:/{p: x/; q: y/}; B: y/}");
  CHECK(parts_of("1. A:\n   - p: x\n   - q: y\n2. B: y\n", {.max_depth = 1}) == "{A:/- p: x/- q: y/; B: y/}");
}

TEST_CASE("a block with untitled branches is text as it stands, unless asked for") {
  CHECK(parts_of("1. Eat.\n2. Sleep.\n") == "1. Eat./2. Sleep.");
  CHECK(parts_of("1. A:\n   - x\n   - y\n2. B: z\n") == "{A:/- x/- y/; B: z/}");
  CHECK(parts_of("1. Eat.\n2. Sleep.\n", {.untitled = corpus::UntitledBlocks::branches}) == "{: Eat./; : Sleep./}");
}

TEST_CASE("the reading text has titles, colons and texts, one after another") {
  const auto parts = corpus::parts(corpus::extract("So:\n\n1. **A**: x.\n   - p: v\n   - q: w\n2. B - y.\n\nEnd."));
  CHECK(corpus::reading_text(parts) == "So:\n\nA: x.\np: v\nq: w\nB: y.\n\nEnd.");
  CHECK(corpus::reading_text(parts[1].branches[1]) == "B: y.\n");
  CHECK(corpus::has_block(parts));
  CHECK_FALSE(corpus::has_block(corpus::parts(corpus::extract("So."))));
}
