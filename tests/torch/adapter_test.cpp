// An adapter in the runner, on tiny random models: equal to the oracle with the products added to its weights, in every
// family and type of weights, and refused where it does not fit.
#include "catch.hpp"
#include "oracle/hand_plan.hpp"
#include "torch/tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/merged_folder.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
namespace hf = anabranch::hf;
using ab::eigen::Matrix;
using ab::test::serial_plan;
using ab::test::status_of;
using ab::test::text_of;
using ab::test::TinyFolder;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using Type = ab::torch::Weights;

const std::vector<ab::TokenId> kTokens = {3, 1, 4, 1, 5, 9};

using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> values_of(const FloatMatrix& m) { return {m.data(), m.data() + m.size()}; }

/// A random change of weights, made twice: as an adapter, and in the oracle's double precision.
struct Changed {
  hf::Adapter adapter;
  ab::eigen::Weights weights;
};

class Changer {
 public:
  Changer(const ab::eigen::Weights& weights, std::uint32_t seed) : random_(seed) {
    result_.weights = weights;
    result_.adapter.rank = 3;
    result_.adapter.alpha = 4.5f;
  }

  Changed run() {
    for (std::size_t l = 0; l < result_.weights.layers.size(); ++l) {
      ab::eigen::LayerWeights& w = result_.weights.layers[l];
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      change(prefix + "self_attn.q_proj", w.query);
      change(prefix + "self_attn.k_proj", w.key);
      change(prefix + "self_attn.v_proj", w.value);
      change(prefix + "self_attn.o_proj", w.out);
      change(prefix + "mlp.gate_proj", w.gate);
      change(prefix + "mlp.up_proj", w.up);
      change(prefix + "mlp.down_proj", w.down);
    }
    result_.adapter.tokens = new_rows(result_.weights.embedding, {9, 3});
    if (!result_.weights.shape.tied_head) result_.adapter.head_tokens = new_rows(result_.weights.head, {7});
    return std::move(result_);
  }

 private:
  FloatMatrix random(Eigen::Index rows, Eigen::Index columns) {
    std::uniform_real_distribution<float> uniform(-0.2f, 0.2f);
    return FloatMatrix::NullaryExpr(rows, columns, [&] { return uniform(random_); });
  }
  void change(const std::string& module, Matrix& w) {
    const FloatMatrix a = random(3, w.cols()), b = random(w.rows(), 3);
    w += 1.5 * (b.cast<double>() * a.cast<double>());
    result_.adapter.modules[module] = {
        static_cast<std::int32_t>(w.cols()), static_cast<std::int32_t>(w.rows()), values_of(a), values_of(b), {}};
  }
  hf::TokenRows new_rows(Matrix& table, const std::vector<ab::TokenId>& ids) {
    const FloatMatrix rows = random(static_cast<Eigen::Index>(ids.size()), table.cols());
    for (std::size_t i = 0; i < ids.size(); ++i)
      table.row(ids[i]) = rows.row(static_cast<Eigen::Index>(i)).cast<double>();
    return {ids, values_of(rows)};
  }

  std::mt19937 random_;
  Changed result_;
};

/// Logits of the last of kTokens.
std::vector<float> last_logits(CausalLm model) {
  const auto row = model(serial_plan(kTokens, 0, 16).plan()).row(0);
  return {row.begin(), row.end()};
}
std::vector<float> last_logits(const std::filesystem::path& folder, const LoadOptions& options) {
  return last_logits(CausalLm::load(folder, options));
}

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

double difference(const std::vector<float>& got, const ab::eigen::Weights& weights) {
  const Matrix expected = ab::eigen::Oracle{weights}.logits(kTokens);
  double most = 0;
  for (std::size_t t = 0; t < got.size(); ++t)
    most = std::max(most, std::abs(got[t] - expected(expected.rows() - 1, static_cast<Eigen::Index>(t))));
  return most;
}

}  // namespace

TEST_CASE("an adapter is what the oracle gives with its products added to the weights, in every family") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape(), ab::test::qwen3_shape()}) {
    const ab::eigen::Weights base = ab::eigen::random_weights(shape, 41);
    const TinyFolder folder(base);
    const Changed changed = Changer(base, 42).run();
    const auto adapter = folder.path() / "adapter";
    changed.adapter.save(adapter, hf::Dtype::f32);
    const auto got = last_logits(folder.path(), {.weights = Type::float32, .adapter = adapter});
    CHECK(difference(got, changed.weights) < 1e-5);
    CHECK(difference(got, base) > 1e-2);
  }
}

TEST_CASE("a merged folder gives the logits of model and adapter, bit for bit, in every type of weights") {
  const ab::eigen::Weights base = ab::eigen::random_weights(ab::test::llama_shape(), 43);
  const TinyFolder folder(base);
  const Changed changed = Changer(base, 44).run();
  const auto adapter = folder.path() / "adapter", merged = folder.path() / "merged";
  changed.adapter.save(adapter, hf::Dtype::f32);
  hf::write_merged_folder({folder.path(), adapter, merged, hf::Dtype::f32});
  for (const Type type : {Type::float32, Type::bfloat16, Type::int8}) {
    const auto with_adapter = last_logits(folder.path(), {.weights = type, .adapter = adapter});
    CHECK(with_adapter == last_logits(merged, {.weights = type}));
    CHECK(difference(with_adapter, changed.weights) < 0.05 * largest(with_adapter));
  }
}

TEST_CASE("an adapter whose B is zero, or that has nothing, leaves every bit of the logits") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 45));
  const auto adapter = folder.path() / "adapter";
  const hf::ModelConfig config = hf::ModelConfig::load(folder.path());
  hf::Adapter nothing;
  nothing.rank = 2;
  nothing.alpha = 16;
  for (const bool with_modules : {false, true}) {
    if (with_modules)
      for (const auto& [module, shape] : hf::linear_modules(config))
        nothing.modules[module] = {shape.in,
                                   shape.out,
                                   std::vector<float>(2u * static_cast<unsigned>(shape.in), 0.7f),
                                   std::vector<float>(2u * static_cast<unsigned>(shape.out), 0.0f),
                                   {}};
    nothing.save(adapter, hf::Dtype::f32);
    for (const Type type : {Type::float32, Type::int8})
      CHECK(last_logits(folder.path(), {.weights = type, .adapter = adapter}) ==
            last_logits(folder.path(), {.weights = type}));
  }
}

TEST_CASE("a runner with slots of its own has the adapter too") {
  const ab::eigen::Weights base = ab::eigen::random_weights(ab::test::llama_shape(), 46);
  const TinyFolder folder(base);
  const auto adapter = folder.path() / "adapter";
  Changer(base, 47).run().adapter.save(adapter, hf::Dtype::f32);
  const CausalLm model = CausalLm::load(folder.path(), {.weights = Type::float32, .adapter = adapter});
  CHECK(last_logits(model.with_own_slots()) ==
        last_logits(folder.path(), {.weights = Type::float32, .adapter = adapter}));
}

TEST_CASE("an adapter that does not fit the model is refused by folder and module") {
  const ab::eigen::Weights base = ab::eigen::random_weights(ab::test::llama_shape(), 48);
  const TinyFolder folder(base), other(ab::eigen::random_weights(ab::test::qwen3_shape(), 48));
  const auto adapter = folder.path() / "adapter";
  Changer(base, 49).run().adapter.save(adapter, hf::Dtype::f32);
  const auto load = [&] { CausalLm::load(other.path(), {.adapter = adapter}); };
  CHECK(status_of(load) == ab::Status::bad_file);
  CHECK_THAT(text_of(load), Catch::Matchers::Contains(adapter.string()) &&
                                Catch::Matchers::Contains("model.layers.0.mlp.down_proj") &&
                                Catch::Matchers::Contains("found [48, 48]"));
  CHECK(status_of([&] { CausalLm::load(folder.path(), {.adapter = folder.path() / "none"}); }) == ab::Status::bad_file);
}
