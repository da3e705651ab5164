// SmolLM2-135M on several ranks, which are threads: the logits and answers of one process, and the bytes that a pass
// takes (docs/scaling.md).
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/torch/generate.hpp>

#include "real_model.hpp"
#include "torch/ranks_replay.hpp"

namespace ab = anabranch;
using ab::test::real_model;
using ab::test::real_model_folder;
using ab::test::Schedule;
using ab::test::TreeReplay;
using ab::test::with_ranks;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::Weights;

namespace {

struct Sizes {
  std::int64_t part(std::int64_t n) const { return n / n_ranks + (rank < n % n_ranks ? 1 : 0); }
  std::int64_t rank, n_ranks;
};

/// Bytes that a rank other than 0 sends in a pass of R rows with as many outputs, by the formula of docs/scaling.md.
/// The all_reduce of n numbers: all parts but its own, then its own to each of the others.
std::int64_t bytes_of_pass(const ab::hf::ModelConfig& c, Weights weights, const Sizes& s, std::int64_t n_rows) {
  const auto all_reduce = [&](std::int64_t n) {
    const std::int64_t mine = n * (s.rank + 1) / s.n_ranks - n * s.rank / s.n_ranks;
    return 4 * (n - mine + (s.n_ranks - 1) * mine);
  };
  const std::int64_t heads = s.part(c.n_kv_heads) * (c.n_heads / c.n_kv_heads) * c.head_dim;
  const std::int64_t gathered = 4 * n_rows * (s.n_ranks - 1) * (heads + s.part(c.ffn) + 2 * s.part(c.hidden));
  const std::int64_t layer = weights == Weights::int8 ? gathered : 2 * all_reduce(n_rows * c.hidden);
  return all_reduce(n_rows * c.hidden) + c.n_layers * layer + 4 * n_rows * s.part(c.vocabulary);
}

}  // namespace

TEST_CASE("on ranks SmolLM2 has the logits of one process, with int8 bit for bit, for the bytes that are told") {
  const auto folder = real_model_folder();
  if (!folder) return;
  const ab::test::TreeScript script = ab::test::random_tree(5, 8, 40000);
  const ab::CacheOptions options{.n_pages = 64, .page_size = 16};
  for (const auto& [weights, n] :
       {std::pair(Weights::float32, 2), std::pair(Weights::int8, 2), std::pair(Weights::int8, 3)}) {
    const bool exact = weights == Weights::int8;
    INFO(ab::torch::weights_name(weights) << " on " << n << " ranks");
    CausalLm alone = real_model(weights)->with_own_slots();
    const TreeReplay expected(script, Schedule::together, {std::ref(alone)}, options);
    double worst = 0;
    std::vector<std::int64_t> told(static_cast<std::size_t>(n));  // bytes, by rank
    const auto sent = with_ranks(n, *folder, {.weights = weights}, [&](CausalLm& model) {
      const ab::test::Host counted = [&](const ab::StepPlan& plan) {
        for (std::size_t rank = 1; rank < told.size(); ++rank)
          told[rank] += bytes_of_pass(model.config(), model.weights(),
                                      {static_cast<std::int64_t>(rank), std::ssize(told)}, plan.n_rows());
        if (plan.outputs.size() != plan.tokens.size()) ab::fail(ab::Status::internal, "logits of all rows are wanted");
        return model(plan);
      };
      const TreeReplay got(script, Schedule::together, {counted}, options);
      for (std::size_t i = 0; i < expected.tokens().size(); ++i)
        for (std::size_t t = 0; t < expected.logits(0, i).size(); ++t)
          worst = std::max(worst, static_cast<double>(std::abs(got.logits(0, i)[t] - expected.logits(0, i)[t])));
    });
    CHECK(worst <= (exact ? 0.0 : 2e-4));
    for (std::size_t rank = 1; rank < told.size(); ++rank) CHECK(sent[rank] == told[rank]);
  }
}

TEST_CASE("on two ranks a trained model writes the answers of one process, branches and all") {
  const auto folder = real_model_folder();
  if (!folder) return;
  const std::vector<std::string> questions{"What are the benefits of regular exercise?",
                                           "How do I prepare for a job interview?"};
  ab::GenerateOptions options;
  options.request.max_tokens = 160;
  options.request.max_branch_tokens = 24;
  LoadOptions load{.weights = Weights::int8};
  load.adapter = "examples/train/adapters/aspd";
  CausalLm alone = CausalLm::load(*folder, load);
  const std::vector<ab::Answer> expected = ab::torch::generate(alone, questions, options);
  std::vector<ab::Answer> got;
  with_ranks(2, *folder, load, [&](CausalLm& model) { got = ab::torch::generate(model, questions, options); });
  REQUIRE(got.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(expected[i].branches.size() >= 2);
    CHECK(got[i].branches.size() == expected[i].branches.size());
    CHECK(got[i].text == expected[i].text);
    CHECK(got[i].statistics.n_passes == expected[i].statistics.n_passes);
  }
}
