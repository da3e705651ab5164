// What a load tells while it goes on, and what memory it says it needs.
#include "catch.hpp"
#include "torch/load_script.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace {

namespace ab = anabranch;
using ab::test::LoadScript;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::MemoryEstimate;
using ab::torch::Weights;

ab::eigen::Weights small_weights(const ab::eigen::Shape& shape) { return ab::eigen::random_weights(shape, 51); }

std::int64_t n_norms(const ab::eigen::Shape& s) {
  return s.hidden * (2 * s.layers + 1) + (s.qk_norm ? 2 * s.head_size * s.layers : 0);
}

}  // namespace

TEST_CASE("progress goes up to 1 in every type of weights") {
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32, Weights::automatic}) {
    LoadScript script(small_weights(ab::test::qwen2_shape()));
    script.options.weights = weights;
    script.load();
    CHECK(script.passed("reads"));
    CHECK(script.passed("packs"));
    CHECK(script.passed("measures") == (weights == Weights::automatic));
    CHECK(script.stages.back() == "ready");
    CHECK(script.fractions.front() == 0.0);
    CHECK(script.fractions.back() == 1.0);
    CHECK(std::is_sorted(script.fractions.begin(), script.fractions.end()));
  }
}

TEST_CASE("what the progress callback throws ends the load, and nothing is kept") {
  for (const char* const stage : {"reads", "packs", "keeps", "ready"}) {
    LoadScript script(small_weights(ab::test::llama_shape()));
    script.options.on_progress = [&](const ab::torch::LoadProgress& now) {
      if (now.stage == stage) throw std::runtime_error("stop");
    };
    CHECK_THROWS_AS(script.load(), std::runtime_error);
    CHECK(script.kept().size() == (std::string(stage) == "ready" ? 1u : 0u));
  }
}

TEST_CASE("the estimate counts every byte of weights and of K and V") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape(), ab::test::qwen3_shape()}) {
    LoadScript script(small_weights(shape));
    const auto estimate = [&] { return CausalLm::estimate(script.folder().path(), script.options); };
    script.options.n_slots = 40;
    for (const Weights weights : {Weights::int8, Weights::float32}) {
      script.options.weights = weights;
      const CausalLm model = script.load();
      const std::int64_t embedding = std::int64_t{model.config().vocabulary} * model.config().hidden;
      const std::int64_t table = weights == Weights::float32 ? 4 * embedding : shape.tied_head ? 0 : 2 * embedding;
      const std::int64_t n_biases = shape.layers * (shape.query_heads + 2 * shape.kv_heads) * shape.head_size;
      const std::int64_t biases = weights == Weights::float32 && shape.qkv_bias ? 4 * n_biases : 0;
      CHECK(estimate().weights == model.weight_bytes() + table + biases + 4 * n_norms(shape));
    }
    const std::int64_t slot = std::int64_t{2} * shape.layers * shape.kv_heads * shape.head_size;
    CHECK(estimate().kv == 40 * 4 * slot);
    script.options.kv = ab::attention::Element::bfloat16;
    CHECK(estimate().kv == 40 * 2 * slot);
    script.options.kv = ab::attention::Element::int8;
    CHECK(estimate().kv == 40 * (slot + 4 * 2 * shape.layers * shape.kv_heads));
    const MemoryEstimate before = estimate();
    CHECK(before.total() == before.weights + before.kv + before.scratch);
    script.options.max_rows *= 2;
    CHECK(estimate().scratch > before.scratch);
    CHECK(estimate().weights == before.weights);
  }
}

TEST_CASE("an estimate and a refused model read no weights") {
  LoadScript script(small_weights(ab::test::llama_shape()));
  script.options.n_slots = 100;
  const std::int64_t need = CausalLm::estimate(script.folder().path(), script.options).total();
  script.options.memory_limit = need;
  script.load();
  script.options.memory_limit = need - 1;
  const auto load = [&] { script.load(); };
  for (const Weights weights : {Weights::int8, Weights::automatic}) {
    script.options.weights = weights;
    script.options.weight_cache.folder = script.folder().path() / "other";
    CHECK(ab::test::status_of(load) == ab::Status::out_of_memory);
    CHECK(script.stages.empty());
  }
  const std::string text = ab::test::text_of(load);
  INFO(text);
  for (const char* const part : {"the model needs 1 MiB", "K and V of 100 slots", "LoadOptions::memory_limit has 0"})
    CHECK(text.find(part) != std::string::npos);
  script.options.memory_limit.reset();
  script.options.n_slots = INT32_MAX;
  script.options.max_rows = INT32_MAX;  // no machine has that much
  CHECK(ab::test::status_of(load) == ab::Status::out_of_memory);
  CHECK(ab::test::text_of(load).find("LoadOptions") == std::string::npos);
  script.options.memory_limit = -1;
  CHECK(ab::test::status_of(load) == ab::Status::bad_argument);
  CHECK(ab::test::status_of([] { CausalLm::estimate("/nonexistent/model"); }) == ab::Status::bad_file);
}
