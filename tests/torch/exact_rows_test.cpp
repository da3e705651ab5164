// With int8 weights a row is the same, bit for bit, whatever else is in the pass; and the model stays as good.
#include <cmath>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "catch.hpp"
#include "real_model.hpp"
#include "tree_script.hpp"

namespace ab = anabranch;
using ab::test::Schedule;
using ab::test::TreeReplay;
using ab::test::TreeScript;
using ab::torch::CausalLm;
using ab::torch::Weights;

namespace {

/// Nested forks of all sizes, long and short branches, a join, and sequences that go on after it.
TreeScript script(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto tokens = [&random](int n) {
    std::vector<ab::TokenId> out;
    for (int i = 0; i < n; ++i) out.push_back(static_cast<ab::TokenId>(100 + random() % 40000));
    return out;
  };
  TreeScript s;
  const int trunk = s.create();
  const int other = s.create();
  s.append(trunk, tokens(37));
  s.append(other, tokens(5));
  const auto kids = s.fork(trunk, 5, ab::Positions::sequential);
  for (const int kid : kids) s.append(kid, tokens(1 + static_cast<int>(random() % 4)));
  s.pass();
  const auto nested = s.fork(kids[1], 3, ab::Positions::longest);
  for (int pass = 0; pass < 4; ++pass) {
    for (const int kid : kids) s.append(kid, tokens(1));
    for (const int kid : nested) s.append(kid, tokens(1 + pass % 2));
    if (pass % 2 == 0) s.append(other, tokens(1));
    s.pass();
  }
  s.join(kids[1], nested);
  s.append(kids[1], tokens(2));
  s.pass();
  s.join(trunk, {kids[3], kids[0], kids[1]});
  s.append(trunk, tokens(3));
  s.append(kids[2], tokens(1));
  return s;
}

std::string text_of(const char* file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Sum of -log p of tokens 1 .. n-1.
double loss(CausalLm& model, std::span<const ab::TokenId> tokens) {
  ab::KvCache cache({.n_pages = static_cast<std::int32_t>(tokens.size()) / 16 + 2});
  const ab::SequenceId sequence = cache.create_sequence();
  double sum = 0;
  for (std::size_t begin = 0; begin < tokens.size();) {
    const std::size_t n = std::min<std::size_t>(128, tokens.size() - begin);
    ab::Step step = cache.begin_step();
    step.append(sequence, tokens.subspan(begin, n), ab::Logits::all);
    const ab::PlanResult plan = step.plan();
    REQUIRE(plan);
    const ab::LogitsView logits = model(*plan);
    for (std::size_t i = 0; i < n && begin + i + 1 < tokens.size(); ++i) {
      const std::span<const float> row = logits.row(static_cast<std::int32_t>(i));
      double total = 0;
      for (const float x : row) total += static_cast<double>(std::exp(x));
      sum += std::log(total) - static_cast<double>(row[static_cast<std::size_t>(tokens[begin + i + 1])]);
    }
    step.commit();
    begin += n;
  }
  return sum;
}

}  // namespace

TEST_CASE("int8: every row of a tree has the bits of the same row alone") {
  if (ab::test::real_model() == nullptr) return;
  for (const std::uint32_t seed : {11u, 12u}) {
    INFO("seed " << seed);
    const TreeScript s = script(seed);
    CausalLm together_model = ab::test::real_model(Weights::int8)->with_own_slots();
    CausalLm alone_model = ab::test::real_model(Weights::int8)->with_own_slots();
    const ab::CacheOptions options{.n_pages = 64, .page_size = 16};
    TreeReplay together(s, Schedule::together, {std::ref(together_model)}, options);
    TreeReplay alone(s, Schedule::alone, {std::ref(alone_model)}, options);
    REQUIRE(together.tokens().size() == alone.tokens().size());
    CHECK(together.n_passes() * 4 < alone.n_passes());
    int n_different = 0;
    for (std::size_t i = 0; i < together.tokens().size(); ++i)
      n_different += together.logits(0, i) == alone.logits(0, i) ? 0 : 1;
    CHECK(n_different == 0);
  }
}

TEST_CASE("int8: perplexity of more than a thousand tokens is within 1 % of float32's") {
  if (ab::test::real_model() == nullptr) return;
  CausalLm exact = ab::test::real_model()->with_own_slots();
  CausalLm small = ab::test::real_model(Weights::int8)->with_own_slots();
  double of_exact = 0, of_small = 0;
  std::size_t n = 0;
  for (const char* file : {"LICENSE", "capi/README.md", "docs/embedding.md"}) {
    std::vector<ab::TokenId> tokens = exact.text().tokenizer.encode(text_of(file), ab::hf::Special::plain);
    tokens.resize(std::min<std::size_t>(tokens.size(), 352));
    of_exact += loss(exact, tokens);
    of_small += loss(small, tokens);
    n += tokens.size() - 1;
  }
  const double exact_perplexity = std::exp(of_exact / static_cast<double>(n));
  const double small_perplexity = std::exp(of_small / static_cast<double>(n));
  WARN(n << " tokens: perplexity " << exact_perplexity << " in float32, " << small_perplexity << " in int8");
  CHECK(n > 1000);
  CHECK(exact_perplexity < 40);  // it is text, and the model reads it
  CHECK(std::abs(small_perplexity / exact_perplexity - 1) < 0.01);
}
