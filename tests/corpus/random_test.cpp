// Whatever the bytes: the tree gives the answer back, and what is made of it keeps its rules.
#include "catch.hpp"
#include "corpus/trees.hpp"

#include <random>

#include <anabranch/corpus/format.hpp>

namespace {

namespace corpus = anabranch::corpus;

/// Draws pieces that Markdown is made of, and joins them carelessly.
class RandomMarkdown {
 public:
  explicit RandomMarkdown(std::uint64_t seed) : random_(seed) {}

  std::string answer() {
    static const std::vector<std::string> kPieces = {"1. ",
                                                     "2. ",
                                                     "3. ",
                                                     "- ",
                                                     "* ",
                                                     "• ",
                                                     "a) ",
                                                     "b) ",
                                                     "i. ",
                                                     "ii. ",
                                                     "(1) ",
                                                     "1、",
                                                     "２．",
                                                     "一、",
                                                     "（二）",
                                                     "1,000. ",
                                                     "1001. ",
                                                     "iv. ",
                                                     "Ⅰ．",
                                                     "    ",
                                                     "：",
                                                     "**",
                                                     "__",
                                                     "*",
                                                     "# ",
                                                     "## ",
                                                     "### ",
                                                     "```",
                                                     "```cpp",
                                                     "~~~",
                                                     "| a | b |",
                                                     "|---|",
                                                     "---",
                                                     "Step 1: ",
                                                     "Step 2: ",
                                                     "First, ",
                                                     "Second, ",
                                                     "Finally, ",
                                                     "Title",
                                                     "word ",
                                                     "another word. ",
                                                     "Sentence here",
                                                     ": ",
                                                     " - ",
                                                     ". ",
                                                     ", ",
                                                     "\n",
                                                     "\n",
                                                     "\n",
                                                     "\n\n",
                                                     "\n\n",
                                                     "\r\n",
                                                     "  ",
                                                     "   ",
                                                     "\t",
                                                     "> ",
                                                     "é",
                                                     "\xff",
                                                     std::string(1, '\0'),
                                                     "1.",
                                                     "-",
                                                     "**Bold**: ",
                                                     "**Bold**\n"};
    std::string out;
    for (std::size_t n = draw(60); n > 0; --n) out += kPieces[draw(kPieces.size())];
    return out;
  }
  std::string list() {
    std::string out = draw(2) == 0 ? "" : "Intro:\n\n";
    const std::string indent(draw(4), ' ');
    const std::size_t n_items = 1 + draw(5);
    for (std::size_t i = 0; i < n_items; ++i) {
      out +=
          indent + std::to_string(i + 1) + ". **T" + std::to_string(i) + "**: body" + (draw(2) == 0 ? "." : "") + "\n";
      if (draw(3) == 0) out += indent + "   - p: x\n" + indent + "   - q: y\n";
      if (draw(4) == 0) out += "\n" + indent + "   more\n";
      if (draw(3) == 0) out += "\n";
    }
    return out + (draw(2) == 0 ? "" : "\nEnd.");
  }
  std::string bytes() {
    std::string out;
    for (std::size_t n = draw(200); n > 0; --n) out += static_cast<char>(draw(256));
    return out;
  }
  std::size_t draw(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

 private:
  std::mt19937_64 random_;
};

/// Rules that parts keep whatever they were made from. `title_of` and text never lie in one part.
void check_parts(const std::vector<corpus::Part>& parts, std::int32_t depth) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    REQUIRE((parts[i].text.empty() || parts[i].branches.empty()));
    REQUIRE((i == 0 || !parts[i].branches.empty() || !parts[i - 1].branches.empty()));
    for (const corpus::PartBranch& branch : parts[i].branches) {
      REQUIRE(depth < 3);
      REQUIRE(!branch.title.empty());
      REQUIRE(corpus::reading_text(branch).back() == '\n');
      REQUIRE(!branch.parts.empty());
      const char first = branch.parts.front().text.front();
      REQUIRE((first == ' ' || first == '\n'));
      check_parts(branch.parts, depth + 1);
    }
  }
}

void check_answer(const std::string& answer) {
  const corpus::BranchText tree = corpus::extract(answer, {.max_depth = 5});
  REQUIRE(corpus::reading_text(tree) == answer);
  REQUIRE(corpus::check_round_trip(tree, answer).empty());
  check_parts(corpus::parts(tree, {.max_depth = 3}), 0);
  corpus::check_format(corpus::parts(tree));
  corpus::parts(tree, {.untitled = corpus::UntitledBlocks::branches});
}

void check_many(std::size_t n, std::string (RandomMarkdown::*make)()) {
  const std::uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  RandomMarkdown random(seed);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string answer = (random.*make)();
    INFO("answer " << i << ": " << anabranch::test::on_one_line(answer));
    check_answer(answer);
  }
}

}  // namespace

TEST_CASE("random Markdown comes back byte for byte") { check_many(20000, &RandomMarkdown::answer); }

TEST_CASE("random bytes come back") { check_many(5000, &RandomMarkdown::bytes); }

TEST_CASE("random lists come back, and those with two items have a block") {
  check_many(5000, &RandomMarkdown::list);
  RandomMarkdown random(7);
  for (int i = 0; i < 500; ++i) {
    const std::string answer = random.list();
    INFO(answer);
    CHECK(corpus::has_block(corpus::extract(answer)) ==
          (answer.find("2. ") != std::string::npos || answer.find("- q") != std::string::npos));
  }
}
