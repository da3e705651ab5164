// Adapters that tests change: a small one, its files edited, and what an error must say.
#pragma once

#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace adapters {

namespace hf = anabranch::hf;
using hf::Adapter;
using Json = nlohmann::json;

inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kTensors = "adapter_model.safetensors";
inline const std::string kQuery = "model.layers.0.self_attn.q_proj", kDown = "model.layers.1.mlp.down_proj";

/// Two layers, hidden 8, two heads of 4 over one, feed-forward 12, ten tokens.
inline hf::ModelConfig model() {
  hf::ModelConfig config;
  config.vocabulary = 10;
  config.hidden = 8;
  config.n_layers = 2;
  config.n_heads = 2;
  config.n_kv_heads = 1;
  config.head_dim = 4;
  config.ffn = 12;
  config.tied_embeddings = true;
  return config;
}

inline std::vector<float> random_values(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(random);
  return values;
}

inline hf::LoraPair pair(std::int32_t rank, std::int32_t in, std::int32_t out, std::uint32_t seed) {
  const auto size = [](std::int32_t a, std::int32_t b) { return static_cast<std::size_t>(a * b); };
  return {in, out, random_values(size(rank, in), seed), random_values(size(out, rank), seed + 1), {}};
}

inline Adapter adapter() {
  Adapter result;
  result.rank = 2;
  result.alpha = 4;
  result.base_model = "a model";
  result.target_modules = {"down_proj", "q_proj"};
  result.modules[kQuery] = pair(2, 8, 8, 1);
  result.modules[kDown] = pair(2, 12, 8, 3);
  result.tokens = {{3, 1}, random_values(16, 5)};
  return result;
}

inline void check_same(const Adapter& a, const Adapter& b) {
  CHECK(a.rank == b.rank);
  CHECK(a.alpha == b.alpha);
  CHECK(a.scale == b.scale);
  CHECK(a.base_model == b.base_model);
  CHECK(a.target_modules == b.target_modules);
  REQUIRE(a.modules.size() == b.modules.size());
  for (const auto& [module, pair] : a.modules) {
    const hf::LoraPair& other = b.modules.at(module);
    CHECK(pair.in == other.in);
    CHECK(pair.out == other.out);
    CHECK(pair.a == other.a);
    CHECK(pair.b == other.b);
    CHECK(pair.alpha == other.alpha);
  }
  for (const auto rows : {&Adapter::tokens, &Adapter::head_tokens}) {
    CHECK((a.*rows).ids == (b.*rows).ids);
    CHECK((a.*rows).rows == (b.*rows).rows);
  }
}

/// The error of loading `adapter()` after its configuration was edited.
inline std::string error_with(const std::function<void(Json&)>& edit) {
  const test::TemporaryFolder folder;
  adapter().save(folder.path(), hf::Dtype::f32);
  Json config = Json::parse(test::read(folder / kAdapterConfig));
  edit(config);
  test::write(folder / kAdapterConfig, config.dump());
  return test::error_of([&] { Adapter::load(folder.path()); });
}

struct Stored {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// The error of loading `adapter()` after its tensors were edited.
inline std::string error_with(const std::function<void(std::vector<Stored>&)>& edit) {
  const test::TemporaryFolder folder;
  adapter().save(folder.path(), hf::Dtype::f32);
  std::vector<Stored> stored;
  {
    const hf::Weights weights = hf::Weights::open(folder / kTensors);
    for (const auto& [name, tensor] : weights.tensors())
      stored.push_back({name, tensor.shape, hf::read_floats(tensor)});
  }
  edit(stored);
  std::vector<hf::FloatTensor> tensors;
  for (const Stored& tensor : stored) tensors.push_back({tensor.name, tensor.shape, tensor.values});
  hf::write_safetensors(folder / kTensors, tensors);
  return test::error_of([&] { Adapter::load(folder.path()); });
}

inline Stored& named(std::vector<Stored>& tensors, const std::string& part) {
  for (Stored& tensor : tensors)
    if (tensor.name.find(part) != std::string::npos) return tensor;
  throw std::runtime_error("no tensor " + part);
}

inline void check_parts(const std::string& error, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) CHECK_THAT(error, Catch::Matchers::Contains(part));
}

}  // namespace adapters
