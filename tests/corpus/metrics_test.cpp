// Counts of token sequences with each fault, of samples, and the figures made from them.
#include "catch.hpp"
#include "corpus/trees.hpp"

#include <array>
#include <random>

#include <anabranch/corpus/metrics.hpp>

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;

/// Tags are capitals and brackets; everything else is text, one token a byte.
const ab::markup::AspdTags kTags{'<', '>', 'T', 't', '{', '}', {':'}};

struct Bytes {
  void operator()(std::span<const ab::TokenId> tokens, std::string& out) const {
    for (const ab::TokenId token : tokens) out += static_cast<char>(token);
  }
};

std::vector<ab::TokenId> letters(std::string_view text) {
  std::vector<ab::TokenId> out;
  for (const char c : text) out.push_back(static_cast<ab::TokenId>(c));
  return out;
}

corpus::AnswerCounts count(std::string_view answer) { return corpus::count_tokens(letters(answer), kTags, Bytes{}); }
std::string fault(std::string_view answer) { return corpus::fault_name(count(answer).fault); }

}  // namespace

TEST_CASE("tokens of an answer are serial, branch or title, tags none of them") {
  const corpus::AnswerCounts counts = count("soTabtTct{<ab:xy><c:z>}end");
  CHECK(counts.fault == corpus::Fault::none);
  CHECK(counts.n_serial == 5);
  CHECK(counts.n_branch == 8);
  CHECK(counts.n_title == 3);
  CHECK(counts.n_blocks == 1);
  CHECK(counts.n_branches == 2);
  CHECK(counts.n_titles == 2);
  CHECK(counts.n_repeated_titles == 0);
}

TEST_CASE("nested blocks count with their branches") {
  const corpus::AnswerCounts counts = count("TatTbt{<a:xTct{<c:y>}z><b:v>}");
  CHECK(counts.fault == corpus::Fault::none);
  CHECK(counts.n_blocks == 2);
  CHECK(counts.n_branches == 3);
  CHECK(counts.n_branch == 10);
  CHECK(counts.n_serial == 0);
}

TEST_CASE("each fault of the markup has a name") {
  CHECK(fault("so") == "none");
  CHECK(fault("Tat{<a:x>}") == "none");
  CHECK(fault("Tat{<a:x>}Tbt{<b:x>}") == "none");
  CHECK(fault("Tt{<x>}") == "none");
  CHECK(fault("Ta") == "title_open");
  CHECK(fault("TaTbt{<a:x><b:y>}") == "title_open");
  CHECK(fault("Ta{<a:x>}") == "title_open");
  CHECK(fault("Tat") == "titles_unused");
  CHECK(fault("Tat{<a:Tbt>}") == "titles_unused");
  CHECK(fault("{}") == "block_without_title");
  CHECK(fault("TatTbt{<a:x>}") == "branch_count");
  CHECK(fault("Tat{<a:x><b:y>}") == "branch_count");
  CHECK(fault("Tat{<b:x>}") == "branch_title");
  CHECK(fault("Tat{<a>}") == "branch_title");
  CHECK(fault("Tat{x<a:x>}") == "text_in_block");
  CHECK(fault("Tat{<a:x>") == "not_closed");
  CHECK(fault("Tat{<a:x") == "not_closed");
  for (const char* stray : {"<", ">", "t", "}", "Tat{<a:x>T}", "Tat{<a:x>{}"}) CHECK(fault(stray) == "stray_tag");
}

TEST_CASE("titles repeat when their words do, within one block") {
  CHECK(count("TatT*A!tTbt{<a:x><*A!:y><b:z>}").n_repeated_titles == 1);
  CHECK(count("Tat{<a:x>}Tat{<a:x>}").n_repeated_titles == 0);
}

TEST_CASE("4-grams run over the text in reading order") {
  CHECK(count("abcdabcd").n_4grams == 5);
  CHECK(count("abcdabcd").n_repeated_4grams == 1);
  CHECK(count("abTxt{<x:b>}").n_4grams == 2);  // abx: bx:b
  CHECK(count("abc").n_4grams == 0);
}

TEST_CASE("any token sequence is counted") {
  const std::uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; ++i) {
    std::string answer;
    std::int64_t n_text = 0;
    for (std::uint64_t n = random() % 30; n > 0; --n) answer += "<>Tt{}ab:x"[random() % 10];
    for (const char c : answer) n_text += std::string_view("ab:x").find(c) != std::string_view::npos ? 1 : 0;
    INFO(answer);
    const corpus::AnswerCounts counts = count(answer);
    REQUIRE(counts.n_serial + counts.n_branch <= n_text);
    REQUIRE(counts.n_repeated_titles <= counts.n_titles);
  }
}

TEST_CASE("a sample counts as the tokens that it is trained on") {
  const auto parts = corpus::parts(corpus::extract("So:\n\n1. Ab: x.\n2. C - y.\n   - p: v\n   - q: w\n"));
  const corpus::AnswerCounts counts = corpus::count_sample(parts, letters);
  CHECK(counts.n_serial == 5);
  CHECK(counts.n_branch == static_cast<std::int64_t>(corpus::reading_text(parts).size()) - 5);
  CHECK(counts.n_title == 5);
  CHECK(counts.n_blocks == 2);
  CHECK(counts.n_branches == 4);
  CHECK(counts.n_titles == 4);
}

TEST_CASE("the figures are those of the paper's definitions") {
  const std::array answers = {count("soTabtTct{<ab:xy><c:z>}end"), count("serial"), count("TatTat{<a:x><a:y>}"),
                              count("Ta"), count("Tat{<a:x>}Tbt{<b:y>}")};
  const corpus::Metrics m = corpus::metrics(answers);
  CHECK(m.n_answers == 5);
  CHECK(m.ppd == Approx(3.0 / 5));
  CHECK(m.abn == Approx((2.0 + 2 + 1) / 3));
  CHECK(m.apd == Approx((8.0 / 13 + 1 + 1) / 3));
  CHECK(m.ape == Approx((5.0 / 8 + 4.0 / 6 + 4.0 / 6) / 3));
  CHECK(m.repeated_titles == Approx(1.0 / 6));
  CHECK(m.well_formed == Approx(4.0 / 5));
  CHECK(m.mean_tokens == Approx((13.0 + 6 + 6 + 0 + 6) / 5));
  CHECK(m.faults[corpus::Fault::title_open] == 1);
  CHECK(corpus::metrics({}).ppd == 0.0);
}
