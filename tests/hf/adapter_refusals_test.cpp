// Adapters that are damaged, of another kind, or of another model are refused by name.
#include "adapters.hpp"

using namespace adapters;

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
