// LoRA adapters in the layout of peft: written and read again, and merged.
#include <bit>
#include <cmath>

#include "adapters.hpp"

using namespace adapters;

TEST_CASE("an adapter that is written and read again is the same, in float32 bit for bit") {
  const test::TemporaryFolder folder;
  Adapter written = adapter();
  written.save(folder / "new/folder", hf::Dtype::f32);
  check_same(Adapter::load(folder / "new/folder"), written);
  written.scale = hf::LoraScale::by_root;
  written.alpha = 0.3f;
  written.modules[kQuery] = pair(3, 8, 8, 7);
  written.modules[kQuery].alpha = 6.0f;
  written.head_tokens = {{9}, random_values(8, 8)};
  written.save(folder.path(), hf::Dtype::f32);
  check_same(Adapter::load(folder.path()), written);
  written.target_modules.clear();  // written as the modules themselves
  written.base_model.clear();
  written.save(folder.path(), hf::Dtype::f32);
  const Adapter read = Adapter::load(folder.path());
  CHECK(read.target_modules == std::vector<std::string>{kQuery, kDown});
  CHECK(read.base_model.empty());
}

TEST_CASE("bfloat16 halves the file and rounds each value to the nearest") {
  const test::TemporaryFolder folder;
  const Adapter written = adapter();
  written.save(folder / "whole", hf::Dtype::f32);
  written.save(folder / "half", hf::Dtype::bf16);
  const Adapter read = Adapter::load(folder / "half");
  const auto n = static_cast<double>(16 + 24 + 16 * 3);
  const auto size = [&](const char* name) {
    return static_cast<double>(test::fs::file_size(folder / name / kTensors));
  };
  CHECK(size("whole") - size("half") > 2 * n - 32);
  const std::vector<float>& exact = written.modules.at(kQuery).a;
  const std::vector<float>& rounded = read.modules.at(kQuery).a;
  REQUIRE(rounded.size() == exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CHECK((std::bit_cast<std::uint32_t>(rounded[i]) & 0xffffu) == 0);
    CHECK(std::abs(rounded[i] - exact[i]) <= std::abs(exact[i]) * 0x1p-8f);
  }
  Adapter ties = adapter();
  ties.modules.at(kQuery).a[0] = 1.00390625f;  // halfway between 1 and 1.0078125: to the even one
  ties.modules.at(kQuery).a[1] = 1.01171875f;  // halfway between 1.0078125 and 1.015625
  ties.save(folder / "ties", hf::Dtype::bf16);
  CHECK(Adapter::load(folder / "ties").modules.at(kQuery).a[0] == 1.0f);
  CHECK(Adapter::load(folder / "ties").modules.at(kQuery).a[1] == 1.015625f);
}

TEST_CASE("an adapter of every kind that is written and read again is the same") {
  const test::TemporaryFolder folder;
  Adapter written = adapter();
  written.tokens = {};
  written.kind.dora = true;
  written.kind.tied = true;
  written.modules["model.embed_tokens"] = pair(2, 8, 10, 6);
  written.modules["lm_head"] = written.modules["model.embed_tokens"];
  written.target_modules.clear();
  for (auto& [module, pair] : written.modules)
    pair.magnitude = random_values(static_cast<std::size_t>(module == "model.embed_tokens" ? pair.in : pair.out), 9);
  written.save(folder / "dora", hf::Dtype::f32);
  Adapter read = Adapter::load(folder / "dora");
  CHECK(read.kind.dora);
  CHECK(read.kind.tied);
  for (const auto& [module, pair] : written.modules) CHECK(read.modules.at(module).magnitude == pair.magnitude);
  read.target_modules.clear();
  check_same(read, written);
  Adapter biased = adapter();
  biased.kind.factor_bias = true;
  for (auto& [module, pair] : biased.modules) pair.bias = random_values(8, 3);
  biased.save(folder / "biased", hf::Dtype::f32);
  for (const auto& [module, pair] : Adapter::load(folder / "biased").modules)
    CHECK(pair.bias == biased.modules.at(module).bias);
  biased.modules.at(kQuery).bias.pop_back();
  check_parts(test::error_of([&] { biased.save(folder / "biased", hf::Dtype::f32); }),
              {"bad_argument: ", kQuery, "8 biases", "7"});
}

TEST_CASE("an adapter whose sizes do not fit is not written") {
  const test::TemporaryFolder folder;
  const auto error = [&](const std::function<void(Adapter&)>& edit, hf::Dtype dtype = hf::Dtype::f32) {
    Adapter a = adapter();
    edit(a);
    const std::string text = test::error_of([&] { a.save(folder.path(), dtype); });
    CHECK_THAT(text, Catch::Matchers::StartsWith("bad_argument: "));
    return text;
  };
  check_parts(error([](Adapter& a) { a.rank = 0; }), {"rank is 0"});
  check_parts(error([](Adapter& a) { a.alpha = NAN; }), {"alpha is nan"});
  check_parts(error([](Adapter& a) { a.modules[kQuery].b.pop_back(); }), {kQuery, "15 values"});
  check_parts(error([](Adapter& a) { a.modules[kQuery].a.clear(); }), {kQuery, "rank 0"});
  check_parts(error([](Adapter& a) { a.target_modules = {"q_proj"}; }), {kDown, "target_modules"});
  check_parts(error([](Adapter& a) { a.tokens.rows.pop_back(); }), {"tokens", "2 rows", "15 values"});
  check_parts(error([](Adapter& a) { a.tokens.ids = {3, 3}; }), {"tokens", "different"});
  check_parts(error([](Adapter&) {}, hf::Dtype::f16), {"F16"});
  CHECK(test::fs::is_empty(folder.path()));
}

TEST_CASE("a matrix gets scale * B A added, token rows are replaced, everything else stays") {
  Adapter a;
  a.rank = 1;
  a.alpha = 2;
  a.modules[kQuery] = {2, 2, {1, 10}, {1, -1}, {}};
  a.tokens = {{2, 0}, {5, 6, 7, 8}};
  std::vector<float> w{1, 2, 3, 4};
  a.merge_into(kQuery + ".weight", w);
  CHECK(w == std::vector<float>{1 + 2, 2 + 20, 3 - 2, 4 - 20});
  std::vector<float> embedding{1, 1, 2, 2, 3, 3};
  a.merge_into("model.embed_tokens.weight", embedding);
  CHECK(embedding == std::vector<float>{7, 8, 2, 2, 5, 6});
  const std::vector<float> before = w;
  for (const char* other : {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.q_proj.weight",
                            "model.layers.0.input_layernorm.weight", "lm_head.weight", "q_proj"})
    a.merge_into(other, w);
  CHECK(w == before);
  a.head_tokens = {{1}, {9, 9}};
  a.merge_into("lm_head.weight", w);
  CHECK(w == std::vector<float>{before[0], before[1], 9, 9});
}

TEST_CASE("a module that DoRA changes has rows of the lengths that it has learned") {
  Adapter a;
  a.rank = 1;
  a.alpha = 1;
  a.kind.dora = true;
  a.modules[kQuery] = {2, 2, {1, 1}, {2, 0}, {}, {10, 2}};
  std::vector<float> w{1, 2, 0, 5};
  a.merge_into(kQuery + ".weight", w);
  CHECK(w == std::vector<float>{6, 8, 0, 2});
  a.kind = {};
  a.modules[kQuery] = {2, 2, {1, 1}, {2, 0}, 3.0f, {}, {1, 2}};
  std::vector<float> bias{1, 1};
  a.merge_into(kQuery + ".bias", bias);
  CHECK(bias == std::vector<float>{4, 7});
  CHECK(a.changes(kQuery + ".bias"));
}

TEST_CASE("linear_modules lists every matrix, the head only where it is not tied") {
  hf::ModelConfig config = model();
  auto modules = hf::linear_modules(config);
  CHECK(modules.size() == 14);
  CHECK(modules.at("model.layers.1.self_attn.k_proj").out == 4);
  CHECK(modules.at("model.layers.1.mlp.down_proj").in == 12);
  CHECK(modules.count("lm_head") == 0);
  config.tied_embeddings = false;
  CHECK(hf::linear_modules(config).at("lm_head").out == 10);
}
