// What config.json means for each architecture, and what it is refused for.
#include <cmath>

#include "catch.hpp"
#include "config_json.hpp"

namespace hf = anabranch::hf;
using hf::Architecture;
using test::bare_json;
using test::config_error;
using test::error_with;
using test::Json;
using test::load_config;

namespace {

Json mistral() { return bare_json("MistralForCausalLM", "mistral"); }
Json phi3() { return bare_json("Phi3ForCausalLM", "phi3"); }
Json gemma() { return bare_json("GemmaForCausalLM", "gemma"); }
Json gemma2() { return bare_json("Gemma2ForCausalLM", "gemma2"); }
Json gemma3() { return bare_json("Gemma3ForCausalLM", "gemma3_text"); }
Json smollm3() { return bare_json("SmolLM3ForCausalLM", "smollm3"); }
Json granite() { return bare_json("GraniteForCausalLM", "granite"); }

Json with(Json config, const Json& changes) {
  config.update(changes);
  return config;
}

std::vector<std::int32_t> windows(std::int32_t window, const std::string& pattern) {
  std::vector<std::int32_t> all;
  for (const char kind : pattern) all.push_back(kind == 'w' ? window : 0);
  return all;
}

}  // namespace

TEST_CASE("Mistral is Llama with a window of all layers, which null takes away") {
  const hf::ModelConfig model = load_config(mistral());
  CHECK(model.architecture == Architecture::mistral);
  CHECK(model.windows == std::vector<std::int32_t>(12, 4096));
  CHECK(model.window_of(3) == 4096);
  CHECK(model.max_positions == 131072);
  CHECK(model.head_dim == 16);
  CHECK(model.activation == hf::Activation::silu);
  CHECK_FALSE(model.tied_embeddings);
  CHECK_FALSE(model.qkv_bias);
  CHECK(load_config(with(mistral(), {{"sliding_window", 7}})).windows == std::vector<std::int32_t>(12, 7));
  const hf::ModelConfig none = load_config(with(mistral(), {{"sliding_window", nullptr}, {"head_dim", 32}}));
  CHECK(none.windows.empty());
  CHECK(none.window_of(3) == 0);
  CHECK(none.head_dim == 32);
  Json heads = mistral();
  heads["num_attention_heads"] = 16;
  heads.erase("num_key_value_heads");
  CHECK(load_config(heads).n_kv_heads == 8);
  heads["num_key_value_heads"] = nullptr;
  CHECK(load_config(heads).n_kv_heads == 16);
}

TEST_CASE("Mistral's settings that transformers ignores are refused") {
  CHECK(error_with(mistral(), "attention_bias", true) ==
        "unsupported: config.json: 'attention_bias': true is not supported for MistralForCausalLM");
  Json types = Json::array();
  for (int l = 0; l < 12; ++l) types.push_back("sliding_attention");
  CHECK(error_with(mistral(), "layer_types", types) == "nothing");
  types[5] = "full_attention";
  CHECK(error_with(mistral(), "layer_types", types) ==
        "unsupported: config.json: 'layer_types': kinds of layers that differ are not supported for "
        "MistralForCausalLM, whose layers have one window, or none");
  CHECK(error_with(mistral(), "sliding_window", 0).find("'sliding_window': expected an integer from 1") !=
        std::string::npos);
  CHECK(error_with(mistral(), "partial_rotary_factor", 0.5).find("only 1.0") != std::string::npos);
  CHECK(error_with(mistral(), "final_logit_softcapping", 30.0) ==
        "unsupported: config.json: 'final_logit_softcapping': 30.0 is not supported for MistralForCausalLM, only null");
}

TEST_CASE("Phi-3 has fused matrices, turns a part of each head, and has a window where one is given") {
  const hf::ModelConfig model = load_config(phi3());
  CHECK(model.fused_matrices);
  CHECK(model.rms_eps == 1e-5);
  CHECK(model.max_positions == 4096);
  CHECK(model.windows.empty());
  CHECK(model.rope.rotary_share == 1.0);
  CHECK(load_config(with(phi3(), {{"sliding_window", 2047}})).windows == std::vector<std::int32_t>(12, 2047));
  const hf::ModelConfig part = load_config(with(phi3(), {{"partial_rotary_factor", 0.75}}));
  CHECK(part.rope.rotary_share == 0.75);
  CHECK(hf::rotary_width(part.rope, part.head_dim) == 12);
  CHECK(hf::rope_inverse_frequencies(part.rope, part.head_dim).size() == 6);
  CHECK(error_with(phi3(), "partial_rotary_factor", 0.2) ==
        "bad_file: config.json: 'partial_rotary_factor': expected an even part above 0 of the 16 elements of a head, "
        "found 0.2");
  CHECK(error_with(phi3(), "partial_rotary_factor", 1.5).find("found 1.5") != std::string::npos);
  CHECK(error_with(phi3(), "intermediate_size", 1500000000) ==
        "bad_file: config.json: 'intermediate_size': expected at most 1073741823, found 1500000000");
}

TEST_CASE("Gemma scales embeddings, adds 1 to norms and gates by GELU") {
  const hf::ModelConfig model = load_config(with(gemma(), {{"num_attention_heads", 4}}));
  CHECK(model.head_dim == 256);
  CHECK(model.n_kv_heads == 2);
  CHECK(model.tied_embeddings);
  CHECK(model.activation == hf::Activation::gelu_tanh);
  CHECK(model.norm_offset == 1.0f);
  CHECK(model.embedding_scale == 8.0f);
  CHECK(model.query_scale == 0);
  CHECK_FALSE(model.post_norms);
  CHECK(model.windows.empty());
  for (const char* name : {"gelu", "gelu_pytorch_tanh"})
    CHECK(load_config(with(gemma(), {{"hidden_act", name}})).activation == hf::Activation::gelu_tanh);
  CHECK(load_config(with(gemma(), {{"hidden_act", "silu"}})).activation == hf::Activation::silu);
  CHECK(error_with(gemma(), "hidden_activation", "gelu_pytorch_tanh") == "nothing");
  CHECK(error_with(gemma(), "hidden_activation", "silu") ==
        "bad_file: config.json: 'hidden_activation': expected what 'hidden_act' says, found \"silu\"");
  CHECK(error_with(gemma(), "use_bidirectional_attention", true) ==
        "unsupported: config.json: 'use_bidirectional_attention': true is not supported, only false");
}

TEST_CASE("Gemma 2 caps scores and logits, and every other layer has a window") {
  const hf::ModelConfig model = load_config(gemma2());
  CHECK(model.windows == windows(4096, "w.w.w.w.w.w."));
  CHECK(model.query_scale == 1.0 / 16);
  CHECK(model.score_softcap == 50);
  CHECK(model.logit_softcap == 30);
  CHECK(model.post_norms);
  CHECK_FALSE(model.qk_norm);
  CHECK_FALSE(model.window_rope);
  const hf::ModelConfig other = load_config(with(gemma2(), {{"attn_logit_softcapping", nullptr},
                                                            {"final_logit_softcapping", 12.5},
                                                            {"query_pre_attn_scalar", 100},
                                                            {"attention_bias", true},
                                                            {"hidden_act", "ignored where hidden_activation counts"}}));
  CHECK(other.score_softcap == 0);
  CHECK(other.logit_softcap == 12.5);
  CHECK(other.query_scale == 0.1);
  CHECK(other.qkv_bias);
  CHECK(other.o_bias);
  CHECK(error_with(gemma2(), "attn_logit_softcapping", 0.0001) ==
        "bad_file: config.json: 'attn_logit_softcapping': expected null, or a number of at least 0.001, found 0.0001");
  CHECK(error_with(gemma2(), "hidden_activation", "gelu").find("'hidden_activation': \"gelu\" is not supported") !=
        std::string::npos);
  CHECK(error_with(gemma2(), "sliding_window", nullptr) ==
        "bad_file: config.json: 'sliding_window': expected the window of the layers that have one, found none");
  CHECK(error_with(gemma2(), "hidden_size", 66).find("expected a multiple of num_attention_heads (4)") !=
        std::string::npos);
}

TEST_CASE("Gemma 3 has a window in five layers of six, and these turn by a base of their own") {
  const hf::ModelConfig model = load_config(gemma3());
  CHECK(model.windows == windows(4096, "wwwww.wwwww."));
  CHECK(model.qk_norm);
  CHECK(model.score_softcap == 0);
  CHECK(model.logit_softcap == 0);
  CHECK(model.rope.theta == 1000000);
  REQUIRE(model.window_rope);
  CHECK(model.window_rope->theta == 10000);
  CHECK(model.rope_of(5)->theta == 1000000);
  CHECK(model.rope_of(6)->theta == 10000);
  CHECK(load_config(with(gemma3(), {{"sliding_window_pattern", 3}})).windows == windows(4096, "ww.ww.ww.ww."));
  CHECK(error_with(gemma3(), "attn_logit_softcapping", 50.0) ==
        "unsupported: config.json: 'attn_logit_softcapping': 50.0 is not supported for Gemma3ForCausalLM, only null");
  CHECK(error_with(gemma3(), "sliding_window_pattern", 0).find("expected an integer from 1") != std::string::npos);
}

TEST_CASE("Gemma 3's rope settings are read in both spellings") {
  const Json older{{"rope_theta", 500000.0},
                   {"rope_local_base_freq", 5000.0},
                   {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}};
  const Json newer{{"rope_parameters",
                    {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 500000.0}}},
                     {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}}}}};
  for (const Json& spelling : {older, newer}) {
    const hf::ModelConfig model = load_config(with(gemma3(), spelling));
    CHECK(model.rope.theta == 500000);
    CHECK(model.rope.scaling == hf::RopeScaling::linear);
    CHECK(model.rope.factor == 8);
    REQUIRE(model.window_rope);
    CHECK(model.window_rope->theta == 5000);
    CHECK(model.window_rope->scaling == hf::RopeScaling::none);
  }
  CHECK(load_config(with(gemma3(), {{"rope_parameters", {{"full_attention", nullptr}}}})).rope.theta == 1000000);
  CHECK(
      error_with(gemma3(), "rope_parameters", {{"rope_type", "default"}}) ==
      "unsupported: config.json: 'rope_parameters': 'rope_type': \"default\" is not supported; supported are settings "
      "for full_attention and for sliding_attention");
  Json both = with(gemma3(), newer);
  CHECK(error_with(both, "rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}})
            .find("'rope_scaling': an object with 2 entries is not supported beside other 'rope_parameters'") !=
        std::string::npos);
}

TEST_CASE("SmolLM3 is Llama with layers that do not turn: each fourth, each n-th, or those of a list") {
  const auto unturned = [](const Json& changes) {
    std::string layers;
    for (const bool layer : load_config(with(smollm3(), changes)).unturned) layers += layer ? 'n' : '.';
    return layers;
  };
  CHECK(unturned(Json::object()) == "...n...n...n");
  CHECK(unturned({{"no_rope_layer_interval", 5}}) == "....n....n..");
  CHECK(unturned({{"no_rope_layers", {1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}}, {"no_rope_layer_interval", 2}}) ==
        ".n.........n");
  const hf::ModelConfig model = load_config(smollm3());
  CHECK(model.rope_of(3) == nullptr);
  REQUIRE(model.rope_of(4) != nullptr);
  CHECK(model.rope_of(4)->theta == 2000000);
  CHECK(model.tied_embeddings);
  CHECK(model.max_positions == 32768);
  CHECK(model.windows.empty());
  CHECK(load_config(with(smollm3(), {{"use_sliding_window", true}, {"sliding_window", 9}})).windows ==
        windows(9, "...w...w...w"));
  CHECK(load_config(with(smollm3(), {{"sliding_window", 9}})).windows.empty());
  CHECK(error_with(smollm3(), "no_rope_layers", {1, 0}) ==
        "bad_file: config.json: 'no_rope_layers': expected a 1 or a 0 for each of 12 layers, found an array of 2 "
        "entries");
  CHECK(error_with(smollm3(), "no_rope_layers", std::vector<int>(12, 2)).find("12 layers, found 2") !=
        std::string::npos);
  CHECK(error_with(mistral(), "no_rope_layers", {1, 0}) ==
        "unsupported: config.json: 'no_rope_layers': an array of 2 entries is not supported for MistralForCausalLM");
}

TEST_CASE("Granite is Llama with multipliers, which are refused elsewhere") {
  const hf::ModelConfig model = load_config(with(granite(), {{"embedding_multiplier", 12.0},
                                                             {"attention_multiplier", 0.015625},
                                                             {"residual_multiplier", 0.22},
                                                             {"logits_scaling", 8}}));
  CHECK(model.embedding_scale == 12.0f);
  CHECK(model.query_scale == 0.015625);
  CHECK(model.residual_scale == 0.22f);
  CHECK(model.logit_divisor == 8.0f);
  CHECK(model.adds_apart());
  const hf::ModelConfig none = load_config(granite());
  CHECK(none.query_scale == 1.0);  // as transformers, where the key is absent
  CHECK(none.residual_scale == 1.0f);
  CHECK_FALSE(none.adds_apart());
  CHECK_FALSE(none.tied_embeddings);
  CHECK(error_with(granite(), "logits_scaling", 1e-9) ==
        "bad_file: config.json: 'logits_scaling': expected a number from 1e-6 to 1e6, found 1e-09");
  for (const char* key : {"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"}) {
    CHECK(error_with(mistral(), key, 1.0) == "nothing");
    CHECK(error_with(mistral(), key, 0.5) ==
          std::string("unsupported: config.json: '") + key + "': 0.5 is not supported for MistralForCausalLM, only 1");
  }
}

TEST_CASE("Of a model of pictures and text the text part is read, and what stands outside of it") {
  const Json gemma{{"architectures", {"Gemma3ForConditionalGeneration"}},
                   {"model_type", "gemma3"},
                   {"eos_token_id", {1, 106}},
                   {"torch_dtype", "bfloat16"},
                   {"vision_config", {{"model_type", "siglip_vision_model"}}},
                   {"text_config",
                    {{"model_type", "gemma3_text"},
                     {"hidden_size", 2560},
                     {"intermediate_size", 10240},
                     {"num_hidden_layers", 34},
                     {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                     {"sliding_window", 1024}}}};  // as Gemma 3 4B was published
  for (const char* without : {"none", "architectures"}) {
    Json json = gemma;
    json.erase(without);
    const hf::ModelConfig model = load_config(json);
    CHECK(model.architecture == Architecture::gemma3);
    CHECK(model.text_part);
    CHECK(model.vocabulary == 262208);
    CHECK(model.n_heads == 8);
    CHECK(model.n_kv_heads == 4);
    CHECK(model.head_dim == 256);
    CHECK(model.rope.factor == 8);
    CHECK(model.window_of(0) == 1024);
    CHECK(model.tied_embeddings);
    CHECK(model.eos == std::vector<anabranch::TokenId>{1, 106});
    CHECK(model.dtype == hf::Dtype::bf16);
  }
  CHECK_FALSE(load_config(gemma3()).text_part);
  Json mistral3{{"architectures", {"Mistral3ForConditionalGeneration"}}, {"model_type", "mistral3"}};
  CHECK(config_error(mistral3).find("'text_config'") != std::string::npos);
  mistral3["text_config"] = mistral();
  CHECK(error_with(mistral3, "architectures", {"Mistral3ForConditionalGeneration"}) == "nothing");
  mistral3["text_config"] = bare_json("Ministral3ForCausalLM", "ministral3");
  CHECK(config_error(mistral3).find("unsupported: config.json: 'text_config': 'architectures': "
                                    "\"Ministral3ForCausalLM\" is not supported") == 0);
  mistral3["text_config"] = test::llama_json();
  CHECK(config_error(mistral3) ==
        "unsupported: config.json: 'text_config': 'model_type': \"llama\" is not supported in a "
        "Mistral3ForConditionalGeneration, only \"mistral\"");
  mistral3["text_config"].erase("model_type");
  CHECK(config_error(mistral3).find("'text_config': 'model_type': expected a string, found nothing") !=
        std::string::npos);
  CHECK(error_with(gemma, "model_type", "mistral3") ==
        "unsupported: config.json: 'model_type': \"mistral3\" does not belong to Gemma3ForConditionalGeneration");
}

TEST_CASE("Layer types say which layers have a window, where the architecture lets them") {
  Json types = Json::array();
  for (int l = 0; l < 12; ++l) types.push_back(l % 4 == 3 ? "sliding_attention" : "full_attention");
  for (const Json& config : {gemma2(), gemma3()})
    CHECK(load_config(with(config, {{"layer_types", types}, {"sliding_window", 9}})).windows ==
          windows(9, "...w...w...w"));
  const Json qwen3 = bare_json("Qwen3ForCausalLM", "qwen3");
  const Json used{{"layer_types", types}, {"sliding_window", 9}, {"use_sliding_window", true}};
  CHECK(load_config(with(qwen3, used)).windows == windows(9, "...w...w...w"));
  CHECK(error_with(qwen3, "layer_types", types) ==
        "bad_file: config.json: 'sliding_window': expected the window of the layers that have one, found "
        "'use_sliding_window' unset");
  CHECK(error_with(qwen3, "layer_types", {"full_attention"}) ==
        "bad_file: config.json: 'layer_types': expected one entry for each of 12 layers, found an array of 1 entries");
  types[0] = "chunked_attention";
  CHECK(error_with(gemma3(), "layer_types", types) ==
        "unsupported: config.json: 'layer_types': \"chunked_attention\" is not supported; supported are "
        "\"full_attention\" and \"sliding_attention\"");
}

TEST_CASE("Attention in both directions, and windows of an architecture that has none, are refused") {
  for (const Json& config : {test::llama_json(), gemma3(), granite()}) {
    CHECK(error_with(config, "is_causal", true) == "nothing");
    CHECK(error_with(config, "is_causal", false) ==
          "unsupported: config.json: 'is_causal': false is not supported, only true");
  }
  const std::vector<std::string> full(30, "full_attention"), windows(30, "sliding_attention");
  CHECK(error_with(test::llama_json(), "layer_types", full) == "nothing");
  CHECK(error_with(test::llama_json(), "layer_types", windows) ==
        "unsupported: config.json: 'layer_types': a window is not supported for LlamaForCausalLM");
  CHECK(error_with(test::llama_json(), "sliding_window", 4096) ==
        "unsupported: config.json: 'sliding_window': 4096 is not supported for LlamaForCausalLM, only null, or as many "
        "as 'max_position_embeddings' (8192)");
  CHECK(error_with(granite(), "sliding_window", 2047).find("2047 is not supported for Granite") != std::string::npos);
  CHECK(error_with(gemma(), "sliding_window", 8191).find("8191 is not supported for Gemma") != std::string::npos);
  CHECK(error_with(test::llama_json(), "sliding_window", 8192) == "nothing");
  CHECK(error_with(with(test::llama_json(), {{"layer_types", full}}), "sliding_window", 4096) == "nothing");
}

TEST_CASE("Qwen's layers have a window from one on, where it is used") {
  for (const Json& config : {bare_json("Qwen2ForCausalLM", "qwen2"), bare_json("Qwen3ForCausalLM", "qwen3")}) {
    const auto found = [&](const Json& changes) { return load_config(with(config, changes)).windows; };
    CHECK(found(Json::object()).empty());
    CHECK(found({{"sliding_window", 9}, {"max_window_layers", 8}}).empty());
    const Json use{{"use_sliding_window", true}};
    CHECK(found(with(use, {{"sliding_window", 9}, {"max_window_layers", 8}})) == windows(9, "........wwww"));
    CHECK(found(with(use, {{"max_window_layers", 0}})) == windows(4096, "wwwwwwwwwwww"));
    CHECK(found(use).empty());  // from layer 28 on, of 12
    CHECK(found(with(use, {{"sliding_window", nullptr}, {"max_window_layers", 0}})).empty());
  }
}

TEST_CASE("Relatives that cannot be run are refused by class and by type, with what they have") {
  struct Relative {
    const char *class_name, *model_type, *why;
  };
  for (const Relative& relative : {Relative{"Qwen3MoeForCausalLM", "qwen3_moe", "mixtures of experts"},
                                   {"Qwen2MoeForCausalLM", "qwen2_moe", "mixtures of experts"},
                                   {"MixtralForCausalLM", "mixtral", "mixtures of experts"},
                                   {"PhimoeForCausalLM", "phimoe", "mixtures of experts"},
                                   {"Phi4MultimodalForCausalLM", "phi4_multimodal", "this model of pictures and text"},
                                   {"Gemma3nForCausalLM", "gemma3n_text", "embeddings per layer"},
                                   {"MinistralForCausalLM", "ministral", "only Mistral's windows"},
                                   {"Qwen3NextForCausalLM", "qwen3_next", "linear attention"}}) {
    Json json = bare_json(relative.class_name, relative.model_type);
    const std::string refusal = std::string("\" is not supported: ") + relative.why;
    CHECK(config_error(json).find("unsupported: config.json: 'architectures': \"" + std::string(relative.class_name) +
                                  refusal) == 0);
    json.erase("architectures");
    CHECK(config_error(json).find("unsupported: config.json: 'model_type': \"" + std::string(relative.model_type) +
                                  refusal) == 0);
    CHECK(config_error(json).find("supported are LlamaForCausalLM, ") != std::string::npos);
  }
}

TEST_CASE("Settings that transformers ignores for an architecture are refused for it") {
  CHECK(error_with(phi3(), "attention_bias", true) ==
        "unsupported: config.json: 'attention_bias': true is not supported for Phi3ForCausalLM");
  for (const Json& config : {mistral(), phi3(), gemma(), gemma2(), gemma3()}) {
    CHECK(error_with(config, "mlp_bias", true).find("'mlp_bias': true is not supported for ") != std::string::npos);
    CHECK(error_with(config, "attention_bias", false) == "nothing");
  }
  for (const Json& config : {mistral(), phi3(), gemma()})
    for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      CHECK(error_with(config, key, 30.0).find("30.0 is not supported for ") != std::string::npos);
      CHECK(error_with(config, key, nullptr) == "nothing");
    }
  for (const char* key : {"mrope_section", "llama_4_scaling_beta", "short_mscale", "long_mscale"})
    CHECK(error_with(mistral(), "rope_parameters", {{"rope_type", "default"}, {key, 1}}) ==
          std::string("unsupported: config.json: 'rope_parameters': '") + key + "': 1 is not supported");
}

TEST_CASE("Llama's feed-forward has biases where mlp_bias says so") {
  CHECK(load_config(with(test::llama_json(), {{"mlp_bias", true}})).mlp_bias);
  CHECK_FALSE(load_config(test::llama_json()).mlp_bias);
  CHECK(load_config(with(test::llama_json(), {{"hidden_act", "gelu_pytorch_tanh"}})).activation ==
        hf::Activation::gelu_tanh);
}
