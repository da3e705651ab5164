// LoRA adapters in PEFT's layout: written and read again, merged, and refused where they are damaged or of another
// kind.
#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "catch.hpp"
#include "hf/files.hpp"

namespace {

namespace hf = anabranch::hf;
using anabranch::Status;
using hf::Adapter;
using Json = nlohmann::json;

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kTensors = "adapter_model.safetensors";
const std::string kQuery = "model.layers.0.self_attn.q_proj", kDown = "model.layers.1.mlp.down_proj";

/// Two layers, hidden 8, two heads of 4 over one, feed-forward 12, ten tokens.
hf::ModelConfig model() {
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

std::vector<float> random_values(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(n);
  for (float& value : values) value = uniform(random);
  return values;
}

hf::LoraPair pair(std::int32_t rank, std::int32_t in, std::int32_t out, std::uint32_t seed) {
  const auto size = [](std::int32_t a, std::int32_t b) { return static_cast<std::size_t>(a * b); };
  return {in, out, random_values(size(rank, in), seed), random_values(size(out, rank), seed + 1), {}};
}

Adapter adapter() {
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

void check_same(const Adapter& a, const Adapter& b) {
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
std::string error_with(const std::function<void(Json&)>& edit) {
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
std::string error_with(const std::function<void(std::vector<Stored>&)>& edit) {
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

Stored& named(std::vector<Stored>& tensors, const std::string& part) {
  for (Stored& tensor : tensors)
    if (tensor.name.find(part) != std::string::npos) return tensor;
  throw std::runtime_error("no tensor " + part);
}

void check_parts(const std::string& error, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) CHECK_THAT(error, Catch::Matchers::Contains(part));
}

}  // namespace

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

TEST_CASE("the scale follows rank, alpha, rslora and the patterns of single modules") {
  const test::TemporaryFolder folder;
  Adapter a = adapter();
  a.modules[kQuery] = pair(4, 8, 8, 1);
  a.save(folder.path(), hf::Dtype::f32);
  const auto scale = [&](const char* alphas, bool root) {
    Json config = Json::parse(test::read(folder / kAdapterConfig));
    config["rank_pattern"] = {{"q_proj", 4}, {"0.mlp.down_proj", 7}};
    config["alpha_pattern"] = Json::parse(alphas);
    config["use_rslora"] = root;
    test::write(folder / kAdapterConfig, config.dump());
    const Adapter read = Adapter::load(folder.path());
    return std::pair(read.scale_of(read.modules.at(kQuery)), read.scale_of(read.modules.at(kDown)));
  };
  CHECK(scale("{}", false) == std::pair(1.0f, 2.0f));
  CHECK(scale(R"({"layers.0.self_attn.q_proj": 6})", false) == std::pair(1.5f, 2.0f));
  CHECK(scale(R"({"^model.layers.0.self_attn.q_proj": 6, "proj": 1, "^q_proj": 1})", false) == std::pair(1.5f, 2.0f));
  CHECK(scale(R"({"down_proj": 8})", true) == std::pair(2.0f, 8.0f / std::sqrt(2.0f)));
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

TEST_CASE("an adapter of another model is refused with module, expected and found") {
  const auto error = [](const Adapter& a, hf::ModelConfig config = model()) {
    return test::error_of([&] { a.require_fit(config, "an/adapter"); });
  };
  CHECK(error(adapter()) == "nothing");
  Adapter other = adapter();
  other.modules["model.layers.2.mlp.down_proj"] = pair(2, 12, 8, 1);
  check_parts(error(other), {"bad_file: an/adapter", "model.layers.2.mlp.down_proj", "2 layers", "found none"});
  other = adapter();
  other.modules[kQuery] = pair(2, 8, 9, 1);
  check_parts(error(other), {"bad_file: an/adapter", kQuery, "expected B A of [8, 8]", "found [9, 8]"});
  other = adapter();
  other.tokens.ids[1] = 10;
  check_parts(error(other), {"bad_file: an/adapter", "from 0 to 9", "found 10"});
  other = adapter();
  other.tokens.rows.resize(14);
  check_parts(error(other), {"bad_file: an/adapter", "2 token rows of 8", "found 14"});
  other = adapter();
  other.modules["lm_head"] = pair(2, 8, 10, 1);
  check_parts(error(other), {"unsupported: an/adapter", "token rows", "tied", "lm_head has LoRA factors"});
  hf::ModelConfig untied = model();
  untied.tied_embeddings = false;
  CHECK(error(other, untied) == "nothing");
  other.head_tokens = {{1}, random_values(8, 1)};
  check_parts(error(other, untied), {"unsupported: an/adapter", "lm_head"});
  other.modules.erase("lm_head");
  CHECK(error(other, untied) == "nothing");
  CHECK(error(other) == "nothing");
  other.modules["model.embed_tokens"] = pair(2, 8, 10, 1);
  check_parts(error(other), {"unsupported: an/adapter", "model.embed_tokens has LoRA factors"});
  other.tokens = {};
  other.head_tokens = {};
  CHECK(error(other) == "nothing");
}

TEST_CASE("a configuration that asks for more than LoRA is refused by the name of its key") {
  const std::vector<std::pair<const char*, const char*>> features{
      {"bias", R"("some")"},
      {"use_qalora", "true"},
      {"fan_in_fan_out", "true"},
      {"layer_replication", "[[0, 1]]"},
      {"target_parameters", R"(["w"])"},
      {"peft_type", R"("IA3")"},
      {"task_type", R"("SEQ_CLS")"},
      {"init_lora_weights", R"("pissa_niter_4")"},
      {"alora_invocation_tokens", "[1]"},
      {"a_key_of_tomorrow", "3"},
      {"rank_pattern", R"({"(?i)q_proj": 2})"},
      {"layers_pattern", R"("layers")"},
      {"trainable_token_indices", R"({"wte": [1]})"},
  };
  for (const auto& [key, value] : features) {
    const std::string error = error_with([&, key = key, value = value](Json& c) { c[key] = Json::parse(value); });
    CHECK_THAT(error, Catch::Matchers::StartsWith("unsupported: "));
    check_parts(error, {kAdapterConfig, std::string("'") + key + "'"});
  }
}

TEST_CASE("of two patterns that fit a module, the first in the file counts") {
  const test::TemporaryFolder folder;
  adapter().save(folder.path(), hf::Dtype::f32);
  const std::string config = test::read(folder / kAdapterConfig);
  const auto alpha = [&](const std::string& patterns) {
    const std::string none = "\"alpha_pattern\": {}";
    std::string edited = config;
    edited.replace(edited.find(none), none.size(), "\"alpha_pattern\": " + patterns);
    test::write(folder / kAdapterConfig, edited);
    return Adapter::load(folder.path()).modules.at(kQuery).alpha;
  };
  CHECK(alpha(R"({"self_attn.q_proj": 5, "q_proj": 7})") == 5.0f);
  CHECK(alpha(R"({"q_proj": 7, "self_attn.q_proj": 5})") == 7.0f);
  CHECK(alpha(R"({"z.*": 3, "self.attn.q_pro.": 5, "a": 7})") == 5.0f);  // a dot is any character
  CHECK(alpha(R"({"elf_attn.q_proj": 3, "q_pro": 5, "proj": 7})") == std::nullopt);
  CHECK(alpha(R"({"model\\.layers\\.[02]\\..*": 9})") == 9.0f);
  CHECK(alpha(R"({"(k|v)_proj": 1, "layers\\.\\d+\\.self_attn\\.\\w{6}": 8})") == 8.0f);
}

TEST_CASE("target_modules may be an expression, of layers, or have exceptions") {
  const auto error = [](const std::function<void(Json&)>& edit) { return error_with(edit); };
  const auto targets = [&](const Json& value) { return error([&](Json& c) { c["target_modules"] = value; }); };
  CHECK(targets(R"(.*\.(q_proj|down_proj))") == "nothing");
  CHECK(targets("ALL-LINEAR") == "nothing");
  check_parts(targets(R"(.*\.q_proj)"), {"bad_file: ", kTensors, "'target_modules'", kDown});
  check_parts(targets("q_proj|down_proj"), {"bad_file: ", "'target_modules'"});  // of the whole path
  check_parts(targets(nullptr), {"bad_file: ", kAdapterConfig, "'target_modules'", "found nothing"});
  check_parts(targets(7), {"bad_file: ", kAdapterConfig, "'target_modules'", "found 7"});
  const auto narrowed = [&](const char* key, const char* value) {
    return error([&](Json& c) { c[key] = Json::parse(value); });
  };
  CHECK(narrowed("layers_to_transform", "[0, 1]") == "nothing");
  check_parts(narrowed("layers_to_transform", "1"), {"bad_file: ", "'target_modules'", kQuery});
  check_parts(narrowed("layers_to_transform", "[-1]"), {"bad_file: ", "'layers_to_transform'", "found -1"});
  check_parts(narrowed("exclude_modules", R"(["layers.1.mlp.down_proj"])"), {"bad_file: ", kDown});
  CHECK(narrowed("exclude_modules", R"(["layers.0.mlp.down_proj"])") == "nothing");
  check_parts(narrowed("exclude_modules", R"(".*q_proj")"), {"bad_file: ", kQuery});
  check_parts(error([](Json& c) {
                c["layers_to_transform"] = {0, 1};
                c["layers_pattern"] = "blocks";
              }),
              {"bad_file: ", "'target_modules'", kQuery});
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

TEST_CASE("what changes nothing is accepted: null, false, empty, and how the adapter was trained") {
  const auto edit = [](Json& c) {
    for (const char* key : {"use_qalora", "modules_to_save", "arrow_config", "a_key_of_tomorrow"}) c[key] = nullptr;
    c["lora_bias"] = false;
    c["layer_replication"] = Json::array();
    c["lora_dropout"] = 0.1;
    c["init_lora_weights"] = "gaussian";
    c["target_modules"] = "all-linear";
    c["qalora_group_size"] = 16;
    c["megatron_core"] = "megatron.core";
    c["trainable_token_indices"] = {{"model.embed_tokens", {3, 1}}, {"lm_head", {3, 1}}};  // a tied head
  };
  CHECK(error_with(edit) == "nothing");
}

TEST_CASE("a damaged configuration is refused with file, key, expected and found") {
  const auto error = [](const char* key, const char* value) {
    return error_with([&](Json& c) { c[key] = Json::parse(value); });
  };
  check_parts(error("r", "0"), {"bad_file: ", kAdapterConfig, "'r'", "from 1", "found 0"});
  check_parts(error("r", "3"), {"bad_file: ", kTensors, "lora_A.weight", "rank 3", "found shape [2, 8]"});
  check_parts(error("lora_alpha", "-1"), {"bad_file: ", kAdapterConfig, "'lora_alpha'", "above 0", "found -1"});
  check_parts(error("peft_type", "null"), {"bad_file: ", kAdapterConfig, "'peft_type'"});
  check_parts(error("target_modules", R"(["q_proj"])"), {"bad_file: ", kTensors, "'target_modules'", kDown});
  check_parts(error("target_modules", "[7]"), {"bad_file: ", kAdapterConfig, "'target_modules'", "found 7"});
  check_parts(error("trainable_token_indices", "[3, 3]"),
              {"bad_file: ", kAdapterConfig, "different token ids", "found 3"});
  check_parts(error("trainable_token_indices", "[3]"), {"bad_file: ", kTensors, "1 rows", "found shape [2, 8]"});
  check_parts(error("trainable_token_indices", "null"), {"bad_file: ", kTensors, "0 rows", "found shape [2, 8]"});
  check_parts(error("trainable_token_indices", R"({"embed_tokens": [3, 1], "lm_head": [4]})"),
              {"bad_file: ", kAdapterConfig, "lm_head.token_adapter", "found no such tensor"});
}

TEST_CASE("damaged tensors are refused with file, tensor, expected and found") {
  using Tensors = std::vector<Stored>;
  const std::string a = kQuery + ".lora_A.weight", b = kQuery + ".lora_B.weight";
  const auto erase = [](const std::string& part) {
    return error_with(
        [&](Tensors& tensors) { tensors.erase(tensors.begin() + (&named(tensors, part) - tensors.data())); });
  };
  check_parts(erase(a), {"bad_file: ", kTensors, b, "expected \"base_model.model." + a + "\"", "found no such tensor"});
  check_parts(erase(b), {"bad_file: ", kTensors, a, "expected \"base_model.model." + b + "\"", "found no such tensor"});
  check_parts(erase("trainable_tokens"),
              {"bad_file: ", kAdapterConfig, "trainable_tokens_delta", "found no such tensor"});
  const auto rename = [](const std::string& part, const std::string& name) {
    return error_with([&](Tensors& tensors) { named(tensors, part).name = name; });
  };
  for (const char* name : {"model.embed_tokens.weight", "base_model.model.x.lora_magnitude_vector"})
    check_parts(rename("trainable_tokens", name), {"bad_file: ", kTensors, name, "LoRA factor"});
  check_parts(error_with([&](Tensors& tensors) {
                named(tensors, b).shape = {4, 4};
              }),
              {"bad_file: ", kTensors, b, "A has rows (2)", "found shape [4, 4]"});
  check_parts(error_with([&](Tensors& tensors) { named(tensors, a).shape = {16}; }),
              {"bad_file: ", kTensors, a, "a matrix", "found shape [16]"});
  check_parts(error_with([&](Tensors& tensors) { named(tensors, a).values[5] = NAN; }),
              {"bad_file: ", kTensors, a, "finite numbers", "nan as element 5"});
}

TEST_CASE("a folder that is no adapter is refused by name") {
  const test::TemporaryFolder folder;
  const auto error = [&](const test::fs::path& path) { return test::error_of([&] { Adapter::load(path); }); };
  check_parts(error(folder / "none"), {"bad_file: adapter folder", "none", "found nothing"});
  check_parts(error(folder.path()), {"bad_file: ", kAdapterConfig});
  adapter().save(folder.path(), hf::Dtype::f32);
  check_parts(error(folder / kAdapterConfig), {"bad_file: adapter folder", "found a file"});
  const std::string whole = test::read(folder / kTensors);
  test::write(folder / kTensors, whole.substr(0, whole.size() - 3));
  check_parts(error(folder.path()), {"bad_file: ", kTensors, "truncated"});
  test::fs::remove(folder / kTensors);
  check_parts(error(folder.path()), {"bad_file: ", kTensors});
  test::write(folder / kAdapterConfig, "{");
  check_parts(error(folder.path()), {"bad_file: ", kAdapterConfig});
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
