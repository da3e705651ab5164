// What adapter_config.json says: scales, patterns, and which modules are meant.
#include <cmath>

#include "adapters.hpp"

using namespace adapters;

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
