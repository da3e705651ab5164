#include <anabranch/hf/config.hpp>

#include "catch.hpp"
#include "config_json.hpp"

namespace hf = anabranch::hf;
using test::config_error;
using test::error_with;
using test::Json;

namespace {

Json llama() { return test::llama_json(); }

Json qwen(int generation) {
  Json json = llama();
  json["architectures"] = {"Qwen" + std::to_string(generation) + "ForCausalLM"};
  json["model_type"] = "qwen" + std::to_string(generation);
  return json;
}

hf::ModelConfig load(const Json& config, const Json& generation = nullptr) {
  return test::load_config(config, generation);
}

}  // namespace

TEST_CASE("The numbers of a Llama model are read") {
  const hf::ModelConfig model = load(llama());
  CHECK(model.architecture == hf::Architecture::llama);
  CHECK(model.hidden == 576);
  CHECK(model.ffn == 1536);
  CHECK(model.n_layers == 30);
  CHECK(model.n_heads == 9);
  CHECK(model.n_kv_heads == 3);
  CHECK(model.head_dim == 64);
  CHECK(model.q_width() == 576);
  CHECK(model.kv_width() == 192);
  CHECK(model.vocabulary == 49152);
  CHECK(model.max_positions == 8192);
  CHECK(model.rms_eps == 1e-5);
  CHECK(model.rope.theta == 100000);
  CHECK(model.rope.scaling == hf::RopeScaling::none);
  CHECK(model.tied_embeddings);
  CHECK_FALSE(model.qkv_bias);
  CHECK_FALSE(model.o_bias);
  CHECK_FALSE(model.qk_norm);
  CHECK(model.bos == 1);
  CHECK(model.eos == std::vector<anabranch::TokenId>{2});
  CHECK(model.dtype == hf::Dtype::bf16);
}

TEST_CASE("Biases and norms follow the architecture") {
  Json json = llama();
  json["attention_bias"] = true;
  CHECK(load(json).qkv_bias);
  CHECK(load(json).o_bias);
  const hf::ModelConfig qwen2 = load(qwen(2));
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE(qwen2.o_bias);
  CHECK_FALSE(qwen2.qk_norm);
  const hf::ModelConfig qwen3 = load(qwen(3));
  CHECK_FALSE(qwen3.qkv_bias);
  CHECK(qwen3.qk_norm);
  CHECK(qwen3.head_dim == 128);
  CHECK(qwen3.q_width() == 9 * 128);
}

TEST_CASE("Absent keys mean what they mean to transformers") {
  Json json = llama();
  for (const char* key :
       {"num_key_value_heads", "rms_norm_eps", "rope_theta", "max_position_embeddings", "tie_word_embeddings",
        "hidden_act", "torch_dtype", "bos_token_id", "eos_token_id", "architectures"})
    json.erase(key);
  const hf::ModelConfig model = load(json);
  CHECK(model.n_kv_heads == 9);
  CHECK(model.rms_eps == 1e-6);
  CHECK(model.rope.theta == 10000);
  CHECK(model.max_positions == 2048);
  CHECK_FALSE(model.tied_embeddings);
  CHECK_FALSE(model.bos);
  CHECK(model.eos.empty());
  CHECK_FALSE(model.dtype);
  json["head_dim"] = 32;
  CHECK(load(json).q_width() == 288);
}

TEST_CASE("Sizes that would only cost memory are refused with their limits") {
  CHECK(load([] {
          Json json = llama();
          json["num_hidden_layers"] = 4096;
          return json;
        }())
            .n_layers == 4096);
  CHECK(error_with(llama(), "num_hidden_layers", 4097) ==
        "unsupported: config.json: 'num_hidden_layers': expected at most 4096, found 4097");
  CHECK(error_with(llama(), "head_dim", 65538) ==
        "unsupported: config.json: 'head_dim': expected at most 65536, found 65538");
}

TEST_CASE("Rope settings are read in the old and the new spelling") {
  const Json scaling{
      {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  Json old = llama(), older = llama(), fresh = llama();
  old["rope_scaling"] = scaling;
  old["rope_scaling"]["rope_type"] = "llama3";
  older["rope_scaling"] = scaling;
  older["rope_scaling"]["type"] = "llama3";
  fresh.erase("rope_theta");
  fresh.erase("rope_scaling");
  fresh["rope_parameters"] = scaling;
  fresh["rope_parameters"].update(Json{{"rope_type", "llama3"}, {"rope_theta", 100000.0}});
  for (const Json& json : {old, older, fresh}) {
    const hf::RopeConfig rope = load(json).rope;
    CHECK(rope.theta == 100000);
    CHECK(rope.scaling == hf::RopeScaling::llama3);
    CHECK(rope.factor == 8);
    CHECK(rope.original_max_positions == 8192);
  }
  fresh["rope_parameters"] = Json{{"rope_type", "default"}, {"rope_theta", 500000.0}};
  CHECK(load(fresh).rope.theta == 500000);
}

TEST_CASE("Inverse frequencies equal those of transformers") {
  const Json recorded = Json::parse(test::read(test::recordings() / "rope.json"));
  hf::RopeConfig rope{.theta = 500000,
                      .scaling = hf::RopeScaling::llama3,
                      .factor = 8,
                      .low_freq_factor = 1,
                      .high_freq_factor = 4,
                      .original_max_positions = 8192};
  const auto compare = [](const std::vector<double>& found, const Json& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i].get<double>()).epsilon(2e-6));
  };
  compare(hf::rope_inverse_frequencies(rope, 128), recorded["llama3"]);
  compare(hf::rope_inverse_frequencies({.theta = 100000}, 64), recorded["plain"]);
  CHECK(test::error_of([] { hf::rope_inverse_frequencies({}, 7); }) ==
        "bad_argument: head_dim: expected an even number above 0, found 7");
}

TEST_CASE("Tokens that end an answer are those of config.json and of generation_config.json") {
  const hf::ModelConfig model = load(llama(), {{"eos_token_id", {2, 0, 7}}, {"bos_token_id", 3}});
  CHECK(model.eos == std::vector<anabranch::TokenId>{2, 0, 7});
  CHECK(model.bos == 3);
  CHECK(load(llama(), {{"eos_token_id", 9}}).eos == std::vector<anabranch::TokenId>{2, 9});
  CHECK(load(llama(), Json::object()).eos == std::vector<anabranch::TokenId>{2});
  CHECK(config_error(llama(), {{"eos_token_id", 49152}})
            .find("generation_config.json: 'eos_token_id': expected token ids from 0 to 49151, found 49152") !=
        std::string::npos);
  CHECK(config_error(llama(), {{"eos_token_id", {"x"}}}).find("found \"x\"") != std::string::npos);
}

TEST_CASE("Architectures that are not supported are refused by name") {
  const std::string supported =
      "; supported are LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, MistralForCausalLM, Phi3ForCausalLM, "
      "GemmaForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM, SmolLM3ForCausalLM and GraniteForCausalLM";
  CHECK(error_with(llama(), "architectures", {"BloomForCausalLM"}) ==
        "unsupported: config.json: 'architectures': \"BloomForCausalLM\" is not supported" + supported);
  CHECK(error_with(llama(), "architectures", {"Qwen3MoeForCausalLM"}) ==
        "unsupported: config.json: 'architectures': \"Qwen3MoeForCausalLM\" is not supported: mixtures of experts "
        "cannot be run" +
            supported);
  CHECK(error_with(llama(), "architectures", {"Phi4MultimodalForCausalLM"}) ==
        "unsupported: config.json: 'architectures': \"Phi4MultimodalForCausalLM\" is not supported: this model of "
        "pictures and text cannot be run, and its text part alone is not read" +
            supported);
  CHECK(error_with(llama(), "model_type", "mistral") ==
        "unsupported: config.json: 'model_type': \"mistral\" does not belong to LlamaForCausalLM");
  CHECK(error_with(llama(), "architectures", Json::array())
            .find("expected an array of one name, found an array of 0 entries") != std::string::npos);
  Json bare = llama();
  bare.erase("architectures");
  CHECK(error_with(bare, "model_type", "gpt2")
            .find("unsupported: config.json: 'model_type': \"gpt2\" is not supported") == 0);
  CHECK(error_with(bare, "model_type", "mixtral").find("\"mixtral\" is not supported: mixtures of experts") !=
        std::string::npos);
  bare.erase("model_type");
  CHECK(config_error(bare) == "bad_file: config.json: expected 'architectures' or 'model_type', found neither");
}

TEST_CASE("Features that would change the result are refused by name") {
  CHECK(error_with(llama(), "hidden_act", "gelu") ==
        "unsupported: config.json: 'hidden_act': \"gelu\" is not supported; supported are \"silu\" and "
        "\"gelu_pytorch_tanh\"");
  CHECK(error_with(qwen(2), "mlp_bias", true) ==
        "unsupported: config.json: 'mlp_bias': true is not supported for Qwen2ForCausalLM");
  CHECK(error_with(llama(), "quantization_config", {{"quant_method", "bitsandbytes"}})
            .find("unsupported: config.json: 'quantization_config'") == 0);
  CHECK(error_with(llama(), "partial_rotary_factor", 0.5) ==
        "unsupported: config.json: 'partial_rotary_factor': 0.5 is not supported, only 1.0");
  CHECK(error_with(llama(), "torch_dtype", "float64").find("unsupported: config.json: 'torch_dtype': \"float64\"") ==
        0);
  CHECK(error_with(llama(), "rope_scaling", {{"rope_type", "ntk"}, {"factor", 4.0}}) ==
        "unsupported: config.json: 'rope_scaling': 'rope_type': \"ntk\" is not supported; supported are \"default\", "
        "\"linear\", \"dynamic\", \"llama3\", \"yarn\" and \"longrope\"");
  CHECK(error_with(llama(), "rope_scaling", {{"type", "proportional"}, {"factor", 4.0}})
            .find("'type': \"proportional\"") != std::string::npos);
  CHECK(error_with(llama(), "per_layer_config", {{"1", {{"skip", {"mlp"}}}}}) ==
        "unsupported: config.json: 'per_layer_config': an object with 1 entries is not supported");
  CHECK(error_with(llama(), "per_layer_config", Json::object()) == "nothing");
  CHECK(error_with(qwen(3), "attention_chunk_size", 64) ==
        "unsupported: config.json: 'attention_chunk_size': 64 is not supported");
  CHECK(error_with(llama(), "rope_parameters", {{"full_attention", {{"rope_type", "default"}}}})
            .find("'full_attention': rope parameters per layer type are not supported for LlamaForCausalLM") !=
        std::string::npos);
}

TEST_CASE("Missing keys, wrong types and impossible values are named") {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"}) {
    Json json = llama();
    json.erase(key);
    const std::string start =
        std::string("bad_file: config.json: '") + key + "': expected an integer from 1 to 2147483647, found ";
    CHECK(config_error(json) == start + "nothing");
    CHECK(error_with(llama(), key, "many") == start + "\"many\"");
    CHECK(error_with(llama(), key, 0) == start + "0");
    CHECK(error_with(llama(), key, -4) == start + "-4");
    CHECK(error_with(llama(), key, 2.5) == start + "2.5");
    CHECK(error_with(llama(), key, 9999999999u) == start + "9999999999");
  }
  CHECK(error_with(llama(), "num_key_value_heads", 4) ==
        "bad_file: config.json: 'num_key_value_heads': expected a divisor of num_attention_heads (9), found 4");
  CHECK(error_with(llama(), "num_key_value_heads", 18).find("expected a divisor") != std::string::npos);
  CHECK(error_with(llama(), "hidden_size", 577) ==
        "bad_file: config.json: 'hidden_size': expected a multiple of num_attention_heads (9), found 577");
  CHECK(error_with(llama(), "head_dim", 63) ==
        "bad_file: config.json: 'head_dim': expected an even number for the rotary pairs, found 63");
  CHECK(error_with(qwen(3), "head_dim", 2147483646).find("'num_attention_heads' * 'head_dim'") != std::string::npos);
  CHECK(error_with(llama(), "rms_norm_eps", -1e-5).find("'rms_norm_eps': expected a finite number above 0") !=
        std::string::npos);
  CHECK(error_with(llama(), "rope_theta", "x").find("'rope_theta': expected a number above 0, found \"x\"") !=
        std::string::npos);
  CHECK(error_with(llama(), "tie_word_embeddings", 1).find("'tie_word_embeddings': expected true or false, found 1") !=
        std::string::npos);
  CHECK(error_with(llama(), "rope_scaling", "llama3").find("'rope_scaling': expected an object, found \"llama3\"") !=
        std::string::npos);
  CHECK(error_with(llama(), "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}})
            .find("'low_freq_factor': expected a number above 0, found nothing") != std::string::npos);
  CHECK(error_with(llama(), "bos_token_id", -1).find("'bos_token_id': expected token ids from 0 to 49151, found -1") !=
        std::string::npos);
}

TEST_CASE("An adapter inside of a model's folder is refused, because transformers applies it") {
  const test::TemporaryFolder folder;
  test::write(folder / "config.json", llama().dump());
  test::write(folder / "adapter_config.json", "{}");
  CHECK(test::error_of([&] { hf::ModelConfig::load(folder.path()); }) ==
        "unsupported: " + (folder / "adapter_config.json").string() +
            ": an adapter inside of a model's folder is not supported; expected it in a folder of its own");
}

TEST_CASE("A missing or damaged config.json is named") {
  const test::TemporaryFolder folder;
  const std::string file = (folder / "config.json").string();
  const auto error = [&] { return test::error_of([&] { hf::ModelConfig::load(folder.path()); }); };
  CHECK(error() == "bad_file: cannot open " + file + ": No such file or directory");
  test::write(file, "{\"a\": ");
  CHECK(error().find("bad_file: " + file + ": not valid JSON: ") == 0);
  test::write(file, "{\"a\": 1e999}");
  CHECK(error().find("bad_file: " + file + ": not valid JSON: ") == 0);
  test::write(file, "3");
  CHECK(error() == "bad_file: " + file + ": expected a JSON object, found 3");
}

TEST_CASE("Numbers that Python writes and JSON does not have count where they are not looked at") {
  const test::TemporaryFolder folder;
  const auto error = [&](const char* key, const std::string& text) {
    Json json = llama();
    json[key] = "HERE";
    std::string file = json.dump();
    test::write(folder / "config.json", file.replace(file.find("\"HERE\""), 6, text));
    return test::error_of([&] { hf::ModelConfig::load(folder.path()); });
  };
  CHECK(error("time_step_limit", "[0.0, Infinity, -Infinity,NaN]") == "nothing");
  CHECK(error("note", R"("NaN \" Infinity")") == "nothing");
  CHECK(error("architectures", "[\"BambaForCausalLM\"], \"limit\": Infinity")
            .find("\"BambaForCausalLM\" is not supported") != std::string::npos);
  CHECK(error("rms_norm_eps", "NaN").find("'rms_norm_eps': expected a number above 0, found an object") !=
        std::string::npos);
  CHECK(error("note", "-NaN").find("not valid JSON: ") != std::string::npos);
  CHECK(error("note", "nan").find("not valid JSON: ") != std::string::npos);
}
