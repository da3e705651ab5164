// The LibTorch runner on tiny random weights, with plans written by hand: equal to the oracle, and strict.
#include "catch.hpp"
#include "oracle/hand_plan.hpp"
#include "torch/tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
using ab::Visibility;
using ab::eigen::Matrix;
using ab::test::HandPlan;
using ab::test::serial_plan;
using ab::test::status_of;
using ab::test::text_of;
using ab::test::TinyFolder;
using ab::torch::AttentionPath;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::Weights;

static_assert(ab::Model<CausalLm>);

constexpr double kTolerance = 1e-5;

double difference(ab::LogitsView got, std::int32_t output, const Matrix& expected, Eigen::Index row) {
  double largest = 0.0;
  for (std::int32_t t = 0; t < got.vocabulary; ++t)
    largest = std::max(largest, std::abs(got.row(output)[static_cast<std::size_t>(t)] - expected(row, t)));
  return largest;
}

CausalLm load(const TinyFolder& folder, LoadOptions options = {.weights = Weights::float32}) {
  return CausalLm::load(folder.path(), options);
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Runs `call` with a folder whose tensors were edited.
template <class Edit>
std::string load_error(Edit&& edit) {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::llama_shape(), 3);
  const TinyFolder folder(weights);
  std::vector<ab::eigen::NamedTensor> tensors = ab::eigen::named_tensors(weights);
  edit(tensors);
  folder.write_tensors(tensors);
  CHECK(status_of([&] { load(folder); }) == ab::Status::bad_file);
  return text_of([&] { load(folder); });
}

}  // namespace

TEST_CASE("a serial sequence fed in chunks equals the oracle in every family") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape(), ab::test::qwen3_shape()}) {
    const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 31);
    const TinyFolder folder(weights);
    const std::vector<ab::TokenId> tokens = {3, 1, 4, 1, 5, 9};
    const Matrix expected = ab::eigen::Oracle{weights}.logits(tokens);
    for (const AttentionPath path : {AttentionPath::native, AttentionPath::groups, AttentionPath::dense}) {
      CausalLm model = load(folder, {.weights = Weights::float32, .attention = path});
      CHECK(difference(model(serial_plan({3, 1, 4}, 0, 16).plan()), 0, expected, 2) < kTolerance);
      CHECK(difference(model(serial_plan({1}, 3, 16).plan()), 0, expected, 3) < kTolerance);
      CHECK(difference(model(serial_plan({5, 9}, 4, 16).plan()), 0, expected, 5) < kTolerance);
      CHECK(model.n_passes() == 3);
      CHECK(model.n_slots() == 16);
    }
  }
}

TEST_CASE("a prompt of more rows than one attention call takes equals the oracle, in scattered slots too") {
  ab::eigen::Shape shape = ab::test::llama_shape();
  shape.layers = 1;
  const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 32);
  const TinyFolder folder(weights);
  std::vector<ab::TokenId> tokens;
  for (int i = 0; i < 600; ++i) tokens.push_back((i * 37 + i / 7) % 64);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(tokens);
  CausalLm model = load(folder);

  CHECK(difference(model(serial_plan(tokens, 0, 600).plan()), 0, expected, 599) < kTolerance);

  HandPlan scattered(1200);  // slot 2 i: no two keys are neighbours
  std::vector<ab::SlotRun> past, now;
  for (int i = 0; i < 600; ++i) (i < 300 ? past : now).push_back({2 * i, 1, 0});
  for (int i = 0; i < 300; ++i) scattered.row(tokens[static_cast<std::size_t>(i)], i, 2 * i);
  scattered.group(0, 300, past, Visibility::causal).output(299);
  CausalLm second = model.with_own_slots();
  CHECK(difference(second(scattered.plan()), 0, expected, 299) < kTolerance);
  HandPlan rest(1200);
  for (int i = 300; i < 600; ++i) rest.row(tokens[static_cast<std::size_t>(i)], i, 2 * i);
  past.insert(past.end(), now.begin(), now.end());
  rest.group(0, 300, past, Visibility::causal).output(0).output(256).output(299);
  const ab::LogitsView logits = second(rest.plan());
  CHECK(difference(logits, 0, expected, 300) < kTolerance);
  CHECK(difference(logits, 1, expected, 556) < kTolerance);
  CHECK(difference(logits, 2, expected, 599) < kTolerance);
}

TEST_CASE("several outputs may name one row, in any order, and a plan may want none") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::llama_shape(), 33);
  const TinyFolder folder(weights);
  CausalLm model = load(folder);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9});
  HandPlan plan = serial_plan({7, 8, 9}, 0, 8);
  const ab::LogitsView logits = model(plan.output(2).output(0).plan());
  REQUIRE(logits.n_outputs == 3);
  CHECK(difference(logits, 0, expected, 2) < kTolerance);
  CHECK(difference(logits, 1, expected, 2) < kTolerance);
  CHECK(difference(logits, 2, expected, 0) < kTolerance);

  HandPlan silent(8);
  silent.row(1, 3, 3).group(0, 1, {{0, 4}}, Visibility::causal);
  CHECK(model(silent.plan()).n_outputs == 0);
  CHECK(model(HandPlan(8).plan()).n_outputs == 0);
  const Matrix longer = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9, 1, 2});
  CHECK(difference(model(serial_plan({2}, 4, 8).plan()), 0, longer, 4) < kTolerance);
}

TEST_CASE("K/V tensors grow with the pool and keep their content; a second runner has slots of its own") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::qwen3_shape(), 34);
  const TinyFolder folder(weights);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9});
  CausalLm model = load(folder, {.weights = Weights::float32, .n_slots = 2});
  CHECK(model.n_slots() == 2);
  model(serial_plan({7, 8}, 0, 2).plan());
  CausalLm other = model.with_own_slots();
  other(serial_plan({50, 51}, 0, 2).plan());
  model.reserve(100);
  CHECK(model.n_slots() == 100);
  CHECK(difference(model(serial_plan({9}, 2, 200).plan()), 0, expected, 2) < kTolerance);
  CHECK(model.n_slots() == 200);
  CHECK(other.n_slots() == 2);
}

TEST_CASE("bfloat16 weights give nearly the same logits") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::qwen2_shape(), 35);
  const TinyFolder folder(weights);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9});
  CausalLm model = load(folder, {.weights = Weights::bfloat16});
  CHECK(model.weights() == Weights::bfloat16);
  const double off = difference(model(serial_plan({7, 8, 9}, 0, 8).plan()), 0, expected, 2);
  CHECK(off > 0.0);
  CHECK(off < 0.1 * expected.cwiseAbs().maxCoeff());
  CHECK(load(folder, {}).weights() != Weights::automatic);
}

TEST_CASE("int8 weights give nearly the same logits") {
  for (const auto& shape : {ab::test::qwen2_shape(), ab::test::qwen3_shape(), ab::test::llama_shape()}) {
    const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 35);
    const TinyFolder folder(weights);
    const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9});
    CausalLm model = load(folder, {.weights = Weights::int8});
    CHECK(model.weights() == Weights::int8);
    CHECK(model.kv() == ab::attention::Element::bfloat16);
    const double off = difference(model(serial_plan({7, 8, 9}, 0, 8).plan()), 0, expected, 2);
    CHECK(off > 0.0);
    CHECK(off < 0.1 * expected.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("K and V in fewer bits give nearly the same logits, on every path that reads them") {
  using ab::attention::Element;
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::qwen3_shape(), 37);
  const TinyFolder folder(weights);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9, 10});
  for (const Element kv : {Element::float32, Element::float16, Element::bfloat16, Element::int8})
    for (const AttentionPath path : {AttentionPath::native, AttentionPath::groups, AttentionPath::dense}) {
      if (kv == Element::int8 && path != AttentionPath::native) continue;
      INFO("element " << static_cast<int>(kv) << ", path " << static_cast<int>(path));
      CausalLm model = load(folder, {.weights = Weights::float32, .attention = path, .kv = kv, .n_slots = 3});
      CHECK(model.kv() == kv);
      model(serial_plan({7, 8}, 0, 3).plan());
      model.reserve(9);  // what is there moves along, scales too
      const double off = difference(model(serial_plan({9, 10}, 2, 9).plan()), 0, expected, 3);
      CHECK(off < (kv == Element::float32 ? kTolerance : 0.05 * expected.cwiseAbs().maxCoeff()));
    }
  CausalLm model = load(folder, {.weights = Weights::float32, .kv = Element::int8});
  CHECK(status_of([&] { model.set_attention(AttentionPath::dense); }) == ab::Status::bad_argument);
  CHECK(model.attention() == AttentionPath::native);
}

TEST_CASE("the times of passes and the bytes of weights are told") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::llama_shape(), 38);
  const TinyFolder folder(weights);
  CausalLm model = load(folder, {.weights = Weights::float32});
  CHECK(model.times().total == 0.0);
  model(serial_plan({7, 8}, 0, 3).plan());
  CHECK(model.times().products > 0.0);
  CHECK(model.times().attention > 0.0);
  CHECK(model.times().total > model.times().products + model.times().attention);
  CHECK(load(folder, {.weights = Weights::bfloat16}).weight_bytes() * 2 == model.weight_bytes());
}

TEST_CASE("the cost of a pass is measured by rows and keys, beside the runner's own slots") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::llama_shape(), 39);
  const TinyFolder folder(weights);
  CausalLm model = load(folder, {.weights = Weights::float32, .n_slots = 4});
  const ab::RowCosts costs = model.measure_row_costs({.rows = {1, 4}, .keys = {8, 40}, .repeats = 2});
  CHECK(costs.seconds(1, 8) > 0.0);
  CHECK(costs.seconds(4, 40) >= costs.seconds(1, 8));
  CHECK(costs.widest_within(1e9, 8) == 4);
  CHECK(model.n_slots() == 4);
  CHECK(model.n_passes() == 0);
  CHECK(status_of([&] { model.measure_row_costs({.rows = {}}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model.measure_row_costs({.rows = {0}}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model.measure_row_costs({.keys = {5000}}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model.measure_row_costs({.repeats = 0}); }) == ab::Status::bad_argument);
}

TEST_CASE("a refused plan is named and writes nothing") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(ab::test::llama_shape(), 36);
  const TinyFolder folder(weights);
  CausalLm model = load(folder);
  model(serial_plan({7, 8}, 0, 8).plan());
  const auto text = [&](HandPlan plan) { return text_of([&] { model(plan.plan()); }); };
  const auto status = [&](HandPlan plan) { return status_of([&] { model(plan.plan()); }); };
  const auto one = [](ab::TokenId token, ab::Position position, ab::Slot slot) {
    return HandPlan(8).row(token, position, slot).group(0, 1, {{0, 2}}, Visibility::full);
  };
  CHECK(text(one(64, 1, 1)) == "token 64 of row 0 is outside [0, 64), the vocabulary");
  CHECK(contains(text(one(ab::kUnknownToken, 1, 1)), "token of row 0 is unknown"));
  CHECK(status(one(ab::kUnknownToken, 1, 1)) == ab::Status::bad_argument);
  CHECK(text(one(1, 4096, 1)) == "position 4096 of row 0 is outside [0, 4096), the model's positions");
  CHECK(status(one(1, 4096, 1)) == ab::Status::out_of_range);
  CHECK(status(one(1, -1, 1)) == ab::Status::out_of_range);
  CHECK(text(one(1, 1, 8)) == "slot 8 of row 0 is outside [0, 8), the K/V tensors");
  CHECK(text(HandPlan(8).row(1, 1, 1)) == "row 0 is in no visibility group");
  CHECK(contains(text(HandPlan(8).row(1, 1, 1).group(0, 1, {{6, 3}}, Visibility::full)),
                 "a run of 3 slots from 6 on, offset 0; the pool has 8 slots"));
  CHECK(contains(text(HandPlan(8).row(1, 1, 1).group(0, 2, {{0, 2}}, Visibility::full)), "plan of 1 rows"));
  CHECK(contains(text(one(1, 1, 1).output(1)), "output names row 1"));
  HandPlan short_group(8);
  short_group.row(1, 1, 1).row(1, 2, 2).group(0, 2, {{1, 1}}, Visibility::causal);
  CHECK(contains(text(short_group), "is causal and has only 1 keys"));

  const Matrix expected = ab::eigen::Oracle{weights}.logits(std::vector<ab::TokenId>{7, 8, 9});
  CHECK(difference(model(serial_plan({9}, 2, 8).plan()), 0, expected, 2) < kTolerance);
}

TEST_CASE("a broken folder is refused with the tensor's name") {
  using Tensors = std::vector<ab::eigen::NamedTensor>;
  const auto named = [](Tensors& tensors, const std::string& name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  };
  const std::string absent =
      load_error([&](Tensors& t) { t.erase(named(t, "model.layers.1.self_attn.k_proj.weight")); });
  CHECK(contains(absent, "model.layers.1.self_attn.k_proj.weight"));
  const std::string shape = load_error([&](Tensors& t) {
    const auto norm = named(t, "model.norm.weight");
    norm->shape = {47};
    norm->values.resize(47);
  });
  CHECK(contains(shape, "model.norm.weight"));
  CHECK(contains(shape, "47"));
  CHECK(contains(shape, "48"));
  CHECK(status_of([] { CausalLm::load("/nonexistent/model"); }) == ab::Status::bad_file);
}

TEST_CASE("options that make no sense are refused") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 37));
  CHECK(status_of([&] { load(folder, {.n_slots = -1}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { load(folder, {.max_rows = 0}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { load(folder, {.n_threads = -2}); }) == ab::Status::bad_argument);
  CausalLm model = load(folder);
  CHECK(text_of([&] { model.reserve(-1); }) == "n_slots is -1, must be 0 or more");
}
