// The LibTorch attention paths with windows, capped scores and other scales, beside attention by the definition.
#include <string>

#include <ATen/ops/from_blob.h>

#include "../attention/compare.hpp"
#include "../attention/pass_tree.hpp"
#include "catch.hpp"
#include "reference_attention.hpp"

using namespace anabranch;
using namespace anabranch::test;
using anabranch::torch::AttentionPath;

namespace {

/// [kv_heads, n_rows * share, head_dim], as the runner gives queries.
at::Tensor by_kv_head(std::vector<float>& queries, const HeadShape& shape) {
  const auto n_rows = static_cast<std::int64_t>(queries.size()) / shape.q_width();
  return at::from_blob(queries.data(), {n_rows, shape.kv_heads, shape.share(), shape.head_dim})
      .transpose(0, 1)
      .reshape({shape.kv_heads, n_rows * shape.share(), shape.head_dim});
}

std::vector<float> run(AttentionPath path, const StepPlan& plan, const HeadShape& shape, const ScoreOptions& options,
                       std::vector<float>& queries, std::vector<float>& keys, std::vector<float>& values) {
  const auto slots = [&](std::vector<float>& kv) {
    return at::from_blob(kv.data(), {plan.n_slots, shape.kv_heads, shape.head_dim});
  };
  const at::Tensor out = anabranch::torch::make_reference(path, plan, shape, options)
                             ->run(by_kv_head(queries, shape), slots(keys), slots(values))
                             .contiguous();
  return {out.const_data_ptr<float>(), out.const_data_ptr<float>() + out.numel()};
}

}  // namespace

TEST_CASE("both LibTorch paths agree with the definition under windows, caps and scales on random trees") {
  for (std::uint32_t seed = 1; seed <= 16; ++seed) {
    PassTree tree(seed * 37);
    tree.grow(10);
    const ScoreOptions options{.scale = seed % 2 == 0 ? 0.0f : 0.15f,
                               .softcap = seed % 3 == 0 ? 2.0f : 0.0f,
                               .window = seed % 8 == 0 ? 0 : 1 + tree.below(100)};
    INFO("seed " << seed << ", window " << options.window << ", softcap " << options.softcap);
    const HeadShape shape = seed % 4 == 0 ? HeadShape{4, 1, 256} : HeadShape{6, 2, 32};
    const Pass pass = tree.pass_of_all();
    REQUIRE(pass.n_rows() > 0);
    StepPlan plan;
    const std::vector<TokenId> tokens(pass.slots.size(), 1);
    plan.tokens = tokens;
    plan.positions = pass.positions;
    plan.slots = pass.slots;
    plan.groups = pass.groups;
    plan.views = pass.views;
    plan.n_slots = pass.n_slots;
    auto keys = random_floats(static_cast<std::size_t>(pass.n_slots * shape.kv_width()), tree.random());
    auto values = random_floats(keys.size(), tree.random());
    auto queries = random_floats(static_cast<std::size_t>(pass.n_rows() * shape.q_width()), tree.random());
    const DenseResult want = dense(pass, queries, keys, values, shape, options);
    for (const AttentionPath path : {AttentionPath::groups, AttentionPath::dense})
      CHECK(difference(run(path, plan, shape, options, queries, keys, values), want.out) < 1e-5);
  }
}
