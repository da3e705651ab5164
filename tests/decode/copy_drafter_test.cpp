// NgramIndex and CopyDrafter: where tokens came last, and what followed them there. MeasuredDrafts: how many are fed.
#include <random>

#include <anabranch/decode/draft/copy_drafter.hpp>
#include <anabranch/decode/draft/measured_drafts.hpp>

#include "catch.hpp"
#include "markup/letters.hpp"

namespace {

namespace ab = anabranch;
using letters::Tokens;

/// Levels with their texts, as the decoder shows them.
struct Levels {
  std::vector<Tokens> texts;
  std::vector<std::shared_ptr<ab::DraftMemory>> memories = std::vector<std::shared_ptr<ab::DraftMemory>>(8);

  ab::DraftChain propose(std::int32_t n_most = 8) {
    std::vector<ab::DraftLevel> levels;
    for (std::size_t k = 0; k < texts.size(); ++k) levels.push_back({texts[k], &memories[k]});
    ab::DraftChain chain;
    ab::CopyDrafter().propose({levels, n_most}, chain);
    return chain;
  }
  std::string proposed(std::int32_t n_most = 8) { return letters::spelled(propose(n_most).tokens); }
};

Levels levels(std::initializer_list<std::string> texts) {
  Levels result;
  for (const std::string& text : texts) result.texts.push_back(letters::tokens(text));
  return result;
}

std::shared_ptr<const ab::RowCosts> flat_to_eight() {
  const std::vector<ab::RowCost> samples = {{1, 0, 1.0}, {8, 0, 1.2}, {16, 0, 2.4}};
  return std::make_shared<const ab::RowCosts>(samples);
}

std::vector<ab::DraftOffer> chosen(std::vector<ab::DraftOffer> offers, std::int32_t n_rows,
                                   std::shared_ptr<const ab::RowCosts> costs = flat_to_eight()) {
  ab::MeasuredDrafts<ab::CopyDrafter> drafts({}, std::move(costs));
  drafts.choose(offers, n_rows, 100);
  return offers;
}

}  // namespace

TEST_CASE("An index knows where each group of tokens came last, whatever was appended and taken back") {
  std::mt19937 random(1);
  Tokens text;
  ab::NgramIndex index(2);
  for (int i = 0; i < 3000; ++i) {
    if (random() % 50 == 0) text.resize(text.size() - std::min<std::size_t>(text.size(), random() % 4));
    index.update(text);
    for (std::size_t n = random() % 4; n > 0; --n) text.push_back(static_cast<ab::TokenId>(random() % 9));
    index.update(text);
    if (text.size() < 2) continue;
    const std::size_t found = index.find(text, std::span(text).last(2));
    std::size_t expected = ab::NgramIndex::kNowhere;
    for (std::size_t end = 2; end < text.size(); ++end)
      if (std::equal(text.end() - 2, text.end(), text.begin() + static_cast<std::ptrdiff_t>(end) - 2)) expected = end;
    REQUIRE(found == expected);
  }
}

TEST_CASE("What followed the last three tokens is proposed, else the last two; the last place counts") {
  CHECK(levels({"abcdefg", "xabc"}).proposed() == "defg");
  CHECK(levels({"abcdefg", "xabc"}).proposed(2) == "de");
  CHECK(levels({"abcdabcefg", "xabc"}).proposed() == "efg");
  CHECK(levels({"abcdefg", "xybc"}).proposed() == "defg");
  CHECK(levels({"abcdefg", "xyzc"}).proposed().empty());
  CHECK(levels({"bcd", "xbcyxabc"}).proposed() == "yxabcyxa");  // its own writing first, in circles
  CHECK(levels({"abcd", "xbcyabc"}).proposed() == "d");         // but three tokens before two
  CHECK(levels({"", "a"}).proposed().empty());
  CHECK(levels({"ab", ""}).proposed().empty());
  CHECK(levels({"abcxyab", ""}).proposed() == "cxyabcxy");
}

TEST_CASE("The tokens that are looked for may stand in several levels; those of the levels above are found") {
  CHECK(levels({"pqabcd", "rstu", "xab"}).proposed() == "cd");
  CHECK(levels({"pqabcd", "rabc", ""}).proposed() == "d");
  CHECK(levels({"abcd", "a", "b", "c"}).proposed() == "d");
  CHECK(levels({"zabcd", "yabce", "xabc"}).proposed() == "e");  // the nearest level
}

TEST_CASE("The more tokens are equal, the surer") {
  const auto kind = [](std::initializer_list<std::string> texts) { return int{levels(texts).propose().kind}; };
  CHECK(kind({"abcdefgh", "xefg"}) == 2);
  CHECK(kind({"abcdefgh", "bcdefg"}) == 3);
  CHECK(kind({"abcdefgh", "xxxxfg"}) == 1);
  CHECK(kind({"abcdefgh", "xxxxxx"}) == 2);  // in circles
  CHECK(levels({"abcdefgh", "bcdefg"}).propose().confidence > levels({"abcdefgh", "xefg"}).propose().confidence);
}

TEST_CASE("Tokens that were taken back and replaced are not proposed") {
  Levels text = levels({"", "abcdab"});
  CHECK(text.proposed(2) == "cd");
  text.texts[1] = letters::tokens("abxyzab");
  CHECK(text.proposed(2) == "xy");
  text.texts[1] = letters::tokens("ab");
  CHECK(text.proposed(2).empty());
}

TEST_CASE("As many drafts are fed as the costs of passes say are worth it, by how often they were right") {
  const auto n_rows = [](double acceptance, std::int32_t n_pass, std::int32_t n_tokens = 8) {
    return chosen({{0, n_tokens, acceptance, 0}}, n_pass)[0].n_rows;
  };
  CHECK(n_rows(0.9, 1) == 7);  // a pass of 8
  CHECK(n_rows(0.9, 1, 3) == 3);
  CHECK(n_rows(0.5, 1) >= 2);
  CHECK(n_rows(0.5, 1) < 7);
  CHECK(n_rows(0.02, 1) == 0);
  CHECK(n_rows(0.3, 12) == 0);  // rows are not free any more
}

TEST_CASE("Branches of a request get on together: without a draft for each of them none is fed") {
  const auto both = chosen({{0, 4, 0.9, 0}, {0, 2, 0.9, 0}}, 2);
  CHECK(both[0].n_rows == 2);
  CHECK(both[1].n_rows == 2);
  const auto one = chosen({{0, 4, 0.9, 0}, {0, 0, 0.9, 0}}, 2);
  CHECK(one[0].n_rows == 0);
  const auto two_requests = chosen({{0, 4, 0.9, 0}, {1, 0, 0.9, 0}}, 2);
  CHECK(two_requests[0].n_rows == 4);
}

TEST_CASE("The surer drafts of several requests come first") {
  const std::vector<ab::RowCost> samples = {{1, 0, 1.0}, {4, 0, 1.0}, {5, 0, 9.0}};
  const auto costs = std::make_shared<const ab::RowCosts>(samples);
  const auto found = chosen({{0, 8, 0.4, 0}, {1, 8, 0.9, 0}}, 2, costs);
  CHECK(found[0].n_rows == 0);
  CHECK(found[1].n_rows == 2);
}

TEST_CASE("Without measured costs no draft is fed before a pass was run; then what passes take decides") {
  ab::MeasuredDrafts<ab::CopyDrafter> drafts;
  std::vector<ab::DraftOffer> offers = {{0, 4, 0.9, 0}};
  drafts.choose(offers, 1, 0);
  CHECK(offers[0].n_rows == 0);
  drafts.learn({200, 0, 20.0});
  drafts.learn({1, 0, 1.0});
  drafts.choose(offers, 1, 0);
  CHECK(offers[0].n_rows == 4);
  for (int i = 0; i < 200; ++i) {
    drafts.learn({1, 0, 1.0});
    drafts.learn({2, 0, 2.5});
    drafts.learn({5, 0, 5.0});
  }
  offers[0].n_rows = 0;
  drafts.choose(offers, 1, 0);
  CHECK(offers[0].n_rows == 0);  // it does not pay here
}

TEST_CASE("Acceptance begins with a drafter's confidence, and follows what is seen") {
  ab::DraftRecord record;
  CHECK(record.acceptance(0.7) == Approx(0.7));
  for (int i = 0; i < 40; ++i) record.add(false);
  CHECK(record.acceptance(0.7) < 0.15);
  for (int i = 0; i < 60; ++i) record.add(true);
  CHECK(record.acceptance(0.7) > 0.75);
}
