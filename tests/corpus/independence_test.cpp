// The two passes against the oracle under a dense mask, and what scores do to a sample.
#include "catch.hpp"
#include "corpus/trees.hpp"

#include <cmath>
#include <random>

#include <anabranch/corpus/independence.hpp>
#include <anabranch/eigen/oracle.hpp>
#include <anabranch/eigen/plan_model.hpp>

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;
using ab::TokenId;
using Eigen::Index;

enum class Siblings { visible, hidden };

/// The mean log-likelihood of each branch, by the oracle: all tokens of the block in one run with a dense mask.
std::vector<double> expected(const ab::eigen::Weights& weights, const corpus::BlockTokens& block,
                             corpus::BranchStarts starts, Siblings siblings) {
  std::vector<TokenId> tokens = block.context;
  std::vector<ab::Position> positions;
  for (std::size_t i = 0; i < tokens.size(); ++i) positions.push_back(static_cast<ab::Position>(i));
  std::vector<std::size_t> begins;
  ab::Position start = static_cast<ab::Position>(tokens.size());
  for (const corpus::BranchTokens& branch : block.branches) {
    begins.push_back(tokens.size());
    for (const auto& part : {branch.prefix, branch.body}) tokens.insert(tokens.end(), part.begin(), part.end());
    for (std::size_t i = begins.back(); i < tokens.size(); ++i)
      positions.push_back(start + static_cast<ab::Position>(i - begins.back()));
    if (starts == corpus::BranchStarts::successive) start = static_cast<ab::Position>(tokens.size());
  }
  begins.push_back(tokens.size());
  ab::eigen::Mask mask = ab::eigen::causal_mask(static_cast<Index>(tokens.size()));
  if (siblings == Siblings::hidden)
    for (std::size_t k = 1; k + 1 < begins.size(); ++k)
      mask.block(static_cast<Index>(begins[k]), static_cast<Index>(begins[0]),
                 static_cast<Index>(begins[k + 1] - begins[k]), static_cast<Index>(begins[k] - begins[0]))
          .setConstant(false);
  const ab::eigen::Matrix logits = ab::eigen::Oracle{weights}.logits(tokens, positions, mask);
  std::vector<double> means;
  for (std::size_t k = 0; k + 1 < begins.size(); ++k) {
    const std::size_t first = begins[k] + std::max<std::size_t>(1, block.branches[k].prefix.size());
    double sum = 0;
    for (std::size_t i = first; i < begins[k + 1]; ++i) {
      const auto row = logits.row(static_cast<Index>(i) - 1);
      sum += row[tokens[i]] - std::log(row.array().exp().sum());
    }
    means.push_back(begins[k + 1] > first ? sum / static_cast<double>(begins[k + 1] - first) : 0.0);
  }
  return means;
}

corpus::BlockTokens random_block(std::mt19937_64& random) {
  const auto tokens = [&](std::size_t n) {
    std::vector<TokenId> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<TokenId>(random() % 64));
    return out;
  };
  corpus::BlockTokens block{tokens(1 + random() % 12), {}};
  for (std::size_t n = 1 + random() % 5; n > 0; --n)
    block.branches.push_back({tokens(random() % 3), tokens(random() % 7)});
  return block;
}

/// Letters as tokens.
std::vector<TokenId> letters(std::string_view text) {
  std::vector<TokenId> out;
  for (const char c : text) out.push_back(static_cast<TokenId>(c));
  return out;
}
std::string text_of(const std::vector<TokenId>& tokens) {
  std::string out;
  for (const TokenId token : tokens) out += static_cast<char>(token);
  return ab::test::on_one_line(out);
}

std::vector<corpus::Part> parts_of(std::string_view answer) { return corpus::parts(corpus::extract(answer)); }

/// Scores whose losses are as given.
corpus::BlockScores losses(const std::vector<double>& values) {
  corpus::BlockScores scores;
  for (const double value : values) scores.push_back({value, 0, 1});
  return scores;
}

const char* const kNested = "So:\n1. A: x\n   - p: v\n   - q: w\n2. B: y\n\nEnd.";

}  // namespace

TEST_CASE("both passes equal the oracle under a dense mask, for any number of blocks in a pass") {
  const std::uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const ab::eigen::Weights weights = ab::eigen::random_weights({}, 11);
  ab::eigen::PlanModel model(weights);
  std::vector<corpus::BlockTokens> blocks;
  for (int i = 0; i < 12; ++i) blocks.push_back(random_block(random));
  for (const auto starts : {corpus::BranchStarts::successive, corpus::BranchStarts::together}) {
    for (const std::int32_t max_rows : {1, 60, 1000}) {
      const auto scores = corpus::independence(model, std::span<const corpus::BlockTokens>(blocks),
                                               {.starts = starts, .max_rows = max_rows});
      REQUIRE(scores.size() == blocks.size());
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        const auto visible = expected(weights, blocks[i], starts, Siblings::visible);
        const auto hidden = expected(weights, blocks[i], starts, Siblings::hidden);
        REQUIRE(scores[i].size() == visible.size());
        for (std::size_t k = 0; k < visible.size(); ++k) {
          INFO("block " << i << " branch " << k << " of " << visible.size());
          CHECK(std::abs(scores[i][k].visible - visible[k]) < 1e-4);
          CHECK(std::abs(scores[i][k].hidden - hidden[k]) < 1e-4);
        }
        CHECK(std::abs(scores[i].front().loss()) < 1e-5);
      }
    }
  }
}

TEST_CASE("blocks share passes: two for each group, whatever their number") {
  ab::eigen::PlanModel model(ab::eigen::random_weights({}, 11));
  const corpus::BlockTokens block{{1, 2, 3}, {{{4}, {5, 6}}, {{7}, {8, 9}}}};
  const std::vector<corpus::BlockTokens> blocks(6, block);
  corpus::independence(model, std::span<const corpus::BlockTokens>(blocks), {.max_rows = 100});
  CHECK(model.n_passes() == 2);
  CHECK(model.n_rows() == 6 * (3 + 2 * 6));
  corpus::independence(model, std::span<const corpus::BlockTokens>(blocks), {.max_rows = 18});
  CHECK(model.n_passes() == 2 + 2 * 3);
  CHECK(corpus::independence(model, std::span<const corpus::BlockTokens>{}).empty());
}

TEST_CASE("what cannot be scored is refused before any pass") {
  ab::eigen::PlanModel model(ab::eigen::random_weights({}, 11));
  const auto status = [&](const corpus::BlockTokens& block, const corpus::IndependenceOptions& options) {
    try {
      corpus::independence(model, std::span(&block, 1), options);
    } catch (const ab::Error& error) {
      return error.status();
    }
    return ab::Status::ok;
  };
  const corpus::BlockTokens block{{1, 2, 3}, {{{4}, {5, 6}}}};
  CHECK(status({{}, block.branches}, {}) == ab::Status::bad_argument);
  CHECK(status(block, {.max_rows = 0}) == ab::Status::bad_argument);
  CHECK(status(block, {.max_position = 5}) == ab::Status::out_of_range);
  CHECK(model.n_passes() == 0);
  CHECK(status(block, {.max_position = 6}) == ab::Status::ok);
  CHECK(status(block, {.max_position = -1}) == ab::Status::bad_argument);
}

TEST_CASE("blocks of a sample have what stands before them as context, nested ones without siblings") {
  const auto blocks =
      corpus::block_tokens(parts_of(std::string(kNested) + "\n\n- C: s\n- D: t"), letters("Q"), letters);
  REQUIRE(blocks.size() == 3);
  CHECK(text_of(blocks[0].context) == "QSo:/");
  REQUIRE(blocks[0].branches.size() == 2);
  CHECK(text_of(blocks[0].branches[0].prefix) == "A:");
  CHECK(text_of(blocks[0].branches[0].body) == " x/p: v/q: w/");
  CHECK(text_of(blocks[0].branches[1].body) == " y/");
  CHECK(text_of(blocks[1].context) == "QSo:/A: x/");
  CHECK(text_of(blocks[1].branches[1].prefix) == "q:");
  CHECK(text_of(blocks[1].branches[1].body) == " w/");
  CHECK(text_of(blocks[2].context) == "QSo:/A: x/p: v/q: w/B: y//End.//");
}

TEST_CASE("branches that lose too much become serial text") {
  const auto merged = [](std::string_view answer, const std::vector<corpus::BlockScores>& scores) {
    return ab::test::shown(corpus::merge_dependent(parts_of(answer), scores, 0.5));
  };
  const char* five = "So:\n- A: a\n- B: b\n- C: c\n- D: d\n- E: e\n\nEnd.";
  CHECK(merged(five, {losses({0, 0.5, 0, 0, 0})}) == "So:/{A: a/; B: b/; C: c/; D: d/; E: e/}/End.");
  CHECK(merged(five, {losses({0, 0, 0.6, 0, 0})}) == "So:/{A: a/; B: b/}C: c/{D: d/; E: e/}/End.");
  CHECK(merged(five, {losses({0, 0.6, 0, 0, 0})}) == "So:/A: a/B: b/{C: c/; D: d/; E: e/}/End.");
  CHECK(merged(five, {losses({0, 0, 0, 0.6, 0})}) == "So:/{A: a/; B: b/; C: c/}D: d/E: e//End.");
  CHECK(merged(five, {losses({0, 0.6, 0, 0.6, 0})}) == "So:/A: a/B: b/C: c/D: d/E: e//End.");
  CHECK(merged(kNested, {losses({0, 0}), losses({0, 1})}) == "So:/{A: x/p: v/q: w/; B: y/}/End.");
  CHECK(merged(kNested, {losses({0, 1}), losses({0, 0})}) == "So:/A: x/p: v/q: w/B: y//End.");
  CHECK(merged("Serial.", {}) == "Serial.");
}

TEST_CASE("scores that do not fit the sample are refused") {
  const auto status = [](std::string_view answer, const std::vector<corpus::BlockScores>& scores) {
    try {
      corpus::merge_dependent(parts_of(answer), scores, 0.5);
    } catch (const ab::Error& error) {
      return error.status();
    }
    return ab::Status::ok;
  };
  CHECK(status(kNested, {losses({0, 0}), losses({0, 0})}) == ab::Status::ok);
  CHECK(status(kNested, {losses({0, 0})}) == ab::Status::bad_argument);
  CHECK(status(kNested, {losses({0, 0}), losses({0})}) == ab::Status::bad_argument);
  CHECK(status("Serial.", {losses({0})}) == ab::Status::bad_argument);
}
