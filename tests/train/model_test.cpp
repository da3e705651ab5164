// The model that learns against the oracle: losses by the formula, gradients by finite differences, packing.
#include <anabranch/train/adapter.hpp>

#include <algorithm>
#include <cmath>

#include "catch.hpp"
#include "train/tiny_training.hpp"

namespace ab = anabranch;
using namespace ab::test;
using ab::Positions;
using ab::train::Compute;
using ab::train::Losses;
using ab::train::Model;
using ab::train::ModelOptions;
using ab::train::Parameter;
using ab::train::Rendering;
using ab::train::TokenRow;
using ab::train::Tuning;

namespace {

/// A tiny model in a folder, learning, and its weights.
struct Tiny {
  explicit Tiny(const ab::eigen::Shape& shape, const ModelOptions& options = tiny_options())
      : base(ab::eigen::random_weights(with_bytes(shape), 61)),
        folder(base),
        model(Model::load(folder.path(), options)) {
    shake(model, 62);
  }
  ab::eigen::Weights weights() const { return oracle_weights(base, model); }

  ab::eigen::Weights base;
  TinyFolder folder;
  Model model;
};

std::vector<ab::eigen::Shape> families() { return {llama_shape(), qwen2_shape(), qwen3_shape()}; }

TokenRow nested_row(Positions positions = Positions::sequential) {
  return renderer({.positions = positions}).render(nested_sample());
}

/// The derivative of the row's loss after entry `i` of parameter `p`, by the oracle.
double difference_quotient(Tiny& tiny, std::size_t p, std::size_t i, const TokenRow& row) {
  const auto loss_at = [&](float value) {
    tiny.model.parameters()[p].values[i] = value;
    tiny.model.parameters_changed();
    return sum_of(reference_losses(tiny.weights(), row));
  };
  const float before = tiny.model.parameters()[p].values[i], above = before + 1e-3f, below = before - 1e-3f;
  const double quotient = (loss_at(above) - loss_at(below)) / (static_cast<double>(above) - static_cast<double>(below));
  loss_at(before);
  return quotient;
}

void expect_gradients(Tiny& tiny, const TokenRow& row, std::size_t per_parameter) {
  tiny.model.zero_gradients();
  accumulate(tiny.model, {&row});
  std::mt19937 random(63);
  for (std::size_t p = 0; p < tiny.model.parameters().size(); ++p) {
    const Parameter parameter = tiny.model.parameters()[p];
    for (std::size_t k = 0; k < per_parameter; ++k) {
      // The rows of bytes that the sample does not hold have gradients near zero: look at the largest, too.
      const auto largest = std::max_element(parameter.gradient.begin(), parameter.gradient.end(),
                                            [](float a, float b) { return std::abs(a) < std::abs(b); });
      const std::size_t i =
          k == 0 ? static_cast<std::size_t>(largest - parameter.gradient.begin()) : random() % parameter.values.size();
      INFO(parameter.name << "[" << i << "]");
      const double expected = difference_quotient(tiny, p, i, row);
      if (k == 0) CHECK(std::abs(expected) > 1e-4);
      CHECK(static_cast<double>(parameter.gradient[i]) == Approx(expected).epsilon(2e-3).margin(2e-4));
    }
  }
}

std::vector<float> all_gradients(Model& model) {
  std::vector<float> all;
  for (const Parameter& p : model.parameters()) all.insert(all.end(), p.gradient.begin(), p.gradient.end());
  return all;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab_sum = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab_sum += x * y, aa += x * x, bb += y * y;
  }
  return ab_sum / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("losses are the formula over the oracle's logits, in every family, rendering and position policy") {
  for (const ab::eigen::Shape& shape : families()) {
    const Tiny tiny(shape);
    const std::vector<TokenRow> rows{
        nested_row(), nested_row(Positions::longest),
        renderer({.positions = Positions::reserved(20)}).render(sample_of(R"([{"text": "a"}, {"branches": [
            {"title": "T", "text": "b"}, {"title": "U", "text": "cd"}]}, {"text": "e"}])")),
        renderer({.rendering = Rendering::serial}).render(nested_sample())};
    for (const TokenRow& row : rows) {
      const std::vector<double> expected = reference_losses(tiny.weights(), row);
      const std::vector<float> got = tiny.model.target_losses(row);
      REQUIRE(got.size() == expected.size());
      REQUIRE(got.size() == static_cast<std::size_t>(row.n_targets()));
      for (std::size_t i = 0; i < got.size(); ++i)
        CHECK(static_cast<double>(got[i]) == Approx(expected[i]).epsilon(1e-4).margin(1e-4));
      const TokenRow* const one[] = {&row};
      CHECK(tiny.model.evaluate(one).total() == Approx(sum_of(expected)).epsilon(1e-4));
    }
  }
}

TEST_CASE("losses are added up by the kind of what was to be predicted") {
  const Tiny tiny(llama_shape());
  const TokenRow row = nested_row();
  const TokenRow* const one[] = {&row};
  const Losses losses = tiny.model.evaluate(one);
  const std::vector<float> each = tiny.model.target_losses(row);
  Losses expected;
  std::size_t next = 0;
  for (std::size_t i = 0; i < row.targets.size(); ++i)
    if (row.targets[i] != ab::kNone) expected.add(row.target_kinds[i], static_cast<double>(each[next++]));
  CHECK(losses.count == expected.count);
  for (std::size_t k = 0; k < losses.sum.size(); ++k) CHECK(losses.sum[k] == Approx(expected.sum[k]));
  CHECK(losses.n_targets() == row.n_targets());
}

TEST_CASE("gradients of adapters and tag rows are the oracle's finite differences, in every family") {
  for (const ab::eigen::Shape& shape : families()) {
    Tiny tiny(shape);
    expect_gradients(tiny, nested_row(), 3);
  }
}

TEST_CASE("gradients of all weights are the oracle's finite differences, in every family") {
  for (const ab::eigen::Shape& shape : families()) {
    ModelOptions options = tiny_options();
    options.tuning = Tuning::full;
    Tiny tiny(shape, options);
    expect_gradients(tiny, nested_row(), 2);
  }
}

TEST_CASE("samples packed into one pass have the losses and gradients that they have alone") {
  Tiny tiny(llama_shape());
  const TokenRow first = nested_row(), second = renderer().render(sample_of(R"([{"text": "plain words"}])"));
  const TokenRow third = renderer().render(sample_of(R"([{"branches": [{"title": "x", "text": "y"}]}])", "other"));
  tiny.model.zero_gradients();
  const Losses packed = accumulate(tiny.model, {&first, &second, &third}, 0.5);
  const std::vector<float> packed_gradients = all_gradients(tiny.model);
  tiny.model.zero_gradients();
  Losses alone;
  for (const TokenRow* row : {&first, &second, &third}) alone += accumulate(tiny.model, {row}, 0.5);
  CHECK(packed.count == alone.count);
  for (std::size_t k = 0; k < packed.sum.size(); ++k) CHECK(packed.sum[k] == Approx(alone.sum[k]).epsilon(1e-5));
  const std::vector<float> gradients = all_gradients(tiny.model);
  float largest = 0;
  for (const float g : gradients) largest = std::max(largest, std::abs(g));
  REQUIRE(largest > 0.0f);
  for (std::size_t i = 0; i < gradients.size(); ++i)
    REQUIRE(std::abs(gradients[i] - packed_gradients[i]) < 1e-4f * largest);
}

TEST_CASE("products in bfloat16 give nearly the losses and the direction of float32") {
  Tiny exact(llama_shape()), rounded(llama_shape(), tiny_options(Compute::bfloat16));
  const TokenRow row = nested_row();
  exact.model.zero_gradients();
  rounded.model.zero_gradients();
  const double loss = accumulate(exact.model, {&row}).mean(), near = accumulate(rounded.model, {&row}).mean();
  CHECK(near == Approx(loss).epsilon(0.02));
  CHECK(near != loss);
  CHECK(cosine(all_gradients(exact.model), all_gradients(rounded.model)) > 0.995);
}

TEST_CASE("adapters start without effect: the losses are the base model's") {
  const ab::eigen::Weights base = ab::eigen::random_weights(with_bytes(llama_shape()), 64);
  const TinyFolder folder(base);
  ModelOptions options = tiny_options();
  const Model model = Model::load(folder.path(), options);
  const TokenRow row = nested_row();
  const TokenRow* const one[] = {&row};
  CHECK(model.evaluate(one).total() == Approx(sum_of(reference_losses(base, row))).epsilon(1e-4));
  options.initial_rows.assign(options.token_rows.size() * 48, 0.25f);
  CHECK(Model::load(folder.path(), options).token_rows() == options.initial_rows);
  for (const auto& m : model.lora_modules()) {
    const float bound = 1.0f / std::sqrt(static_cast<float>(m.in));
    CHECK(std::all_of(m.a.begin(), m.a.end(), [&](float x) { return std::abs(x) <= bound; }));
    CHECK(*std::max_element(m.a.begin(), m.a.end()) > 0.5f * bound);
  }
}

TEST_CASE("the adapter that is written is what the model computes with") {
  for (const ab::eigen::Shape& shape : families()) {
    const Tiny tiny(shape);
    const auto path = tiny.folder.path() / "adapter";
    ab::train::adapter_of(tiny.model, "tiny").save(path, ab::hf::Dtype::f32);
    const ab::hf::Adapter adapter = ab::hf::Adapter::load(path);
    adapter.require_fit(tiny.model.config(), "adapter");
    CHECK(adapter.base_model == "tiny");
    const auto expected = ab::eigen::named_tensors(tiny.weights());
    auto merged = ab::eigen::named_tensors(tiny.base);
    for (std::size_t t = 0; t < merged.size(); ++t) {
      adapter.merge_into(merged[t].name, merged[t].values);
      for (std::size_t i = 0; i < merged[t].values.size(); ++i)
        REQUIRE(merged[t].values[i] == Approx(expected[t].values[i]).margin(1e-6));
    }
  }
}

TEST_CASE("a model tuned whole is written as a folder that gives the same losses") {
  ModelOptions options = tiny_options();
  options.tuning = Tuning::full;
  for (const ab::eigen::Shape& shape : families()) {
    const Tiny tiny(shape, options);
    const auto path = tiny.folder.path() / "whole";
    ab::train::save_model(tiny.model, tiny.folder.path(), path);
    const TokenRow row = nested_row();
    CHECK(Model::load(path, options).target_losses(row) == tiny.model.target_losses(row));
    CHECK_THROWS_AS(ab::train::adapter_of(tiny.model, ""), ab::Error);
  }
  const Tiny lora(llama_shape());
  CHECK_THROWS_AS(ab::train::save_model(lora.model, lora.folder.path(), lora.folder.path() / "x"), ab::Error);
}

TEST_CASE("a head in the file that differs from the embedding it should be tied to is the one that learns") {
  ab::eigen::Shape shape = with_bytes(llama_shape());
  shape.tied_head = false;
  const TinyFolder folder(ab::eigen::random_weights(shape, 64));
  const TokenRow row = nested_row();
  ModelOptions options = tiny_options();
  options.token_rows.clear();
  const auto expected = Model::load(folder.path(), options).target_losses(row);
  shape.tied_head = true;
  folder.write_config(ab::eigen::config_json(shape));
  CHECK(Model::load(folder.path(), options).target_losses(row) == expected);
  CHECK_FALSE(Model::load(folder.path(), options).config().tied_embeddings);
  const std::string text = ::test::error_of([&] { Model::load(folder.path(), tiny_options()); });
  CHECK_THAT(text, Catch::Matchers::StartsWith("unsupported: ") && Catch::Matchers::Contains("config.json") &&
                       Catch::Matchers::Contains("'tie_word_embeddings'") && Catch::Matchers::Contains("token_rows"));
}

TEST_CASE("what the runner computes and training does not is refused by name") {
  const auto error = [](const ab::eigen::Shape& shape, const std::string& more = "") {
    const TinyFolder folder(ab::eigen::random_weights(shape, 61));
    std::string config = ab::eigen::config_json(shape);
    if (!more.empty()) folder.write_config(config.replace(config.rfind('}'), 1, more + "}"));
    return ::test::error_of([&] { Model::load(folder.path(), tiny_options()); });
  };
  const auto refused = [&](const std::string& text, const std::string& part) {
    CHECK_THAT(text, Catch::Matchers::StartsWith("unsupported: ") &&
                         Catch::Matchers::Contains("config.json: " + part) &&
                         Catch::Matchers::Contains("can be run, but not trained; supported are the shapes of Llama"));
  };
  ab::eigen::Shape phi3 = phi3_shape();
  phi3.windows.clear();
  refused(error(gemma_shape()), "'architectures': norms and embeddings of GemmaForCausalLM");
  refused(error(phi3), "'architectures': fused matrices of Phi3ForCausalLM");
  refused(error(mistral_shape()), "'sliding_window': a window of MistralForCausalLM");
  refused(error(llama_shape(), ", \"hidden_act\": \"gelu_pytorch_tanh\""), "'hidden_act': a gate other than \"silu\"");
  refused(error(llama_shape(), ", \"mlp_bias\": true"), "'mlp_bias': biases in the feed-forward");
  refused(error(llama_shape(), ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0}"),
          "'rope_parameters': scaled rotations of LlamaForCausalLM");
}

TEST_CASE("what the model cannot take is refused with the value and the limit") {
  Tiny tiny(llama_shape());
  const auto text_of_pass = [&](const TokenRow& row) {
    return ::test::error_of([&] { accumulate(tiny.model, {&row}); });
  };
  TokenRow row = nested_row();
  row.tokens[3] = tiny.model.config().vocabulary;
  CHECK_THAT(text_of_pass(row), Catch::Matchers::Contains("outside the vocabulary"));
  row = nested_row();
  row.positions[2] = tiny.model.config().max_positions;
  CHECK_THAT(text_of_pass(row), Catch::Matchers::Contains("4096"));
  CHECK_THROWS_AS(accumulate(tiny.model, {}), ab::Error);
  const auto refused = [&](auto change) {
    ModelOptions options = tiny_options();
    change(options);
    return ::test::error_of([&] { Model::load(tiny.folder.path(), options); });
  };
  CHECK_THAT(refused([](ModelOptions& o) { o.rank = 0; }), Catch::Matchers::Contains("rank"));
  CHECK_THAT(refused([](ModelOptions& o) { o.alpha = 0; }), Catch::Matchers::Contains("alpha"));
  CHECK_THAT(refused([](ModelOptions& o) { o.token_rows = {-1}; }), Catch::Matchers::Contains("trained token"));
  CHECK_THAT(refused([](ModelOptions& o) { o.initial_rows = {1.0f}; }), Catch::Matchers::Contains("initial_rows"));
}
