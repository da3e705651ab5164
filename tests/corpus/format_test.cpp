// Each reason to refuse a sample, and samples just inside each limit.
#include "catch.hpp"
#include "corpus/trees.hpp"

#include <anabranch/corpus/format.hpp>
#include <anabranch/corpus/words.hpp>

namespace {

namespace corpus = anabranch::corpus;

/// The names of all reasons, in order, with blanks between.
std::string reasons(const std::vector<corpus::Finding>& findings) {
  std::string out;
  for (const corpus::Finding& finding : findings)
    out += (out.empty() ? "" : " ") + std::string(reason_name(finding.reason));
  return out;
}
std::string reasons(std::string_view answer, const corpus::FormatLimits& limits = {}) {
  return reasons(corpus::check_format(
      corpus::parts(corpus::extract(answer), {.untitled = corpus::UntitledBlocks::branches}), limits));
}

const char* const kGood =
    "Here you are:\n\n1. **Rest**: Sleep eight hours a night.\n2. **Food**: Eat more fruit than sugar.\n\nGood luck.";

}  // namespace

TEST_CASE("a good answer has no findings, with branches and without") {
  CHECK(reasons(kGood) == "");
  CHECK(reasons("Paris.") == "");
  CHECK(reasons("Paris") == "");
}

TEST_CASE("blank answers are refused") {
  CHECK(reasons("") == "empty_answer");
  CHECK(reasons(" \n") == "empty_answer");
}

TEST_CASE("titles must be there, differ in words, be short and plain") {
  CHECK(reasons("1. Sleep eight hours.\n2. Eat more fruit.\n") == "title_empty title_empty");
  CHECK(reasons("1. **Rest**: Sleep eight hours.\n2. *REST!*: Eat more fruit.\n") == "title_repeated");
  CHECK(reasons("1. **Step 1**: Sleep eight hours.\n2. **Step 2**: Eat more fruit.\n") == "");
  CHECK(reasons(kGood, {.max_title_bytes = 3}) == "title_too_long title_too_long");
  CHECK(reasons(kGood, {.max_title_bytes = 4}) == "");
  CHECK(reasons("- **a: Sleep eight hours.\n- b: Eat more fruit.\n") == "title_markup");
  CHECK(reasons("- ???: Sleep eight hours.\n- b: Eat more fruit.\n") == "title_markup");
}

TEST_CASE("blocks have a number of branches and a depth") {
  CHECK(reasons(kGood, {.min_branches = 3}) == "too_few_branches");
  CHECK(reasons(kGood, {.max_branches = 1}) == "too_many_branches");
  const char* nested = "1. A: So it is.\n   - p: One is here.\n   - q: Two are there.\n2. B: Nothing at all.\n";
  CHECK(reasons(nested) == "");
  CHECK(reasons(nested, {.max_depth = 1}) == "too_deep");
}

TEST_CASE("bodies have a number of words") {
  CHECK(reasons("1. A: So it is.\n2. B: No.\n") == "body_too_short");
  CHECK(reasons("1. A: So it is.\n2. B: Not at all.\n", {.max_body_words = 2}) == "body_too_long body_too_long");
  CHECK(reasons("1. A: So it is.\n2. B: Not at all.\n", {.max_body_words = 3}) == "");
}

TEST_CASE("bodies must not say the same") {
  CHECK(reasons("1. A: So it is now.\n2. B: so it is, *now*!\n") == "body_repeated");
  const char* alike = "1. A: Drink a glass of water every day.\n2. B: Drink a glass of water every week.\n";
  CHECK(reasons(alike) == "branches_redundant");
  CHECK(reasons(alike, {.max_overlap = 0.81}) == "");
}

TEST_CASE("text that loops is refused, in a branch and over the whole answer") {
  const std::string loop = "it goes on and on and on and on and on and on and on and on.";
  CHECK(reasons(loop) == "looping_text looping_text");
  CHECK(reasons("1. A: " + loop + "\n2. B: Not at all.\n") == "looping_text looping_text");
  CHECK(reasons("1. A: Drink a glass of cold water.\n2. B: Eat a pear.\n\nDrink a glass of cold water.\n",
                {.max_repeated_in_answer = 0.1}) == "looping_text");
}

TEST_CASE("an answer that breaks off is refused") {
  CHECK(reasons("It is so. But then the") == "unfinished");
  CHECK(reasons("It is so. But then:") == "unfinished");
  CHECK(reasons("1. A: So it is:\n2. B: Not at all.\n") == "unfinished");
  CHECK(reasons("1. A: So it is.\n2. B: Not at all,") == "unfinished");
  CHECK(reasons("1. A: so it is\n2. B: not at all\n") == "");
  CHECK(reasons("Code:\n```\nx = 1\n") == "unfinished");
  CHECK(reasons("Code:\n```\nx = 1\n```\n") == "");
  CHECK(reasons("1. A: So it is.\n2. B: He said \"not at all.\"\n") == "");
}

TEST_CASE("a tree that lost bytes does not give its answer back") {
  corpus::BranchText tree = corpus::extract(kGood);
  CHECK(corpus::check_round_trip(tree, kGood).empty());
  tree.passages.front().text.pop_back();
  CHECK(reasons(corpus::check_round_trip(tree, kGood)) == "round_trip");
  CHECK(corpus::check_round_trip({}, "x").front().text == "the tree's text differs from the answer at byte 0");
}

TEST_CASE("reasons are counted by answer") {
  corpus::ReasonCounts counts;
  counts.add({});
  counts.add({{corpus::Reason::title_empty, ""}, {corpus::Reason::title_empty, ""}, {corpus::Reason::unfinished, ""}});
  counts.add({{corpus::Reason::unfinished, ""}});
  CHECK(counts.n_answers() == 3);
  CHECK(counts.n_rejected() == 2);
  CHECK(counts[corpus::Reason::title_empty] == 1);
  CHECK(counts[corpus::Reason::unfinished] == 2);
  CHECK(counts[corpus::Reason::too_deep] == 0);
}

TEST_CASE("findings give the bad value and the limit") {
  const auto text = [](const corpus::FormatLimits& limits) {
    return corpus::check_format(corpus::parts(corpus::extract(kGood)), limits).at(0).text;
  };
  CHECK(text({.max_title_bytes = 3}) == "title 'Rest' has 4 bytes, at most 3 are allowed");
  CHECK(text({.min_branches = 3}) == "a block has 2 branches, at least 3 are needed");
  CHECK(text({.min_body_words = 6}) == "branch 'Rest' has 5 words, at least 6 are needed");
}

TEST_CASE("every reason has a name of its own") {
  for (std::size_t i = 0; i < corpus::kReasons; ++i)
    for (std::size_t k = 0; k < i; ++k)
      CHECK(std::string(corpus::reason_name(static_cast<corpus::Reason>(i))) !=
            corpus::reason_name(static_cast<corpus::Reason>(k)));
}

TEST_CASE("n-grams are counted over words in small letters") {
  CHECK(corpus::words("It's 2 *Cats*, é!").size() == 5);
  CHECK(corpus::words("CATS") == corpus::words("cats"));
  CHECK(corpus::words("don’t – “so” 👏!") == corpus::words("don't so"));
  CHECK(corpus::words("naïve snake_case Ωmega 中文 x₂").size() == 5);
  CHECK(corpus::words("a\xff"
                      "b \xc3")
            .size() == 2);
  CHECK(corpus::repeated_ngrams(corpus::words("a b c d"), 4) == 0.0);
  CHECK(corpus::repeated_ngrams(corpus::words("a b a b a b"), 2) == Approx(0.6));  // ab ba ab ba ab
  CHECK(corpus::repeated_ngrams(corpus::words("a"), 2) == 0.0);
  CHECK(corpus::ngram_overlap("a b c d", "x a b c") == Approx(0.5));
  CHECK(corpus::ngram_overlap("a b", "a b") == 0.0);
  CHECK(corpus::word_key("  The **Big** Cat! ") == "the big cat");
  CHECK(corpus::word_key("__Big__ “Cat”") == "big cat");
  CHECK(corpus::count_repeated({"b", "a", "b", "", "b", ""}) == 3);
  CHECK(corpus::count_repeated({}) == 0);
  corpus::Part block;
  for (const char* text : {" a b c d\n", " x a b c\n", " q\n"}) block.branches.push_back({"t", {{text, {}}}});
  CHECK(corpus::redundancy(block) == Approx(0.5));
}
