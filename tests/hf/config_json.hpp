// Configurations for tests, and what reading them says.
#pragma once

#include <string>

#include <anabranch/hf/config.hpp>

#include "files.hpp"

namespace test {

using Json = nlohmann::json;

/// SmolLM2's.
inline Json llama_json() {
  return Json::parse(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100000, "rope_scaling": null, "torch_dtype": "bfloat16",
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "attention_bias": false})");
}

/// Only what every configuration must say.
inline Json bare_json(const char* class_name, const char* model_type) {
  return {{"architectures", {class_name}}, {"model_type", model_type}, {"hidden_size", 64},
          {"intermediate_size", 96},       {"num_hidden_layers", 12},  {"num_attention_heads", 4},
          {"num_key_value_heads", 2},      {"vocab_size", 100}};
}

inline anabranch::hf::ModelConfig load_config(const Json& config, const Json& generation = nullptr) {
  const TemporaryFolder folder;
  write(folder / "config.json", config.dump());
  if (!generation.is_null()) write(folder / "generation_config.json", generation.dump());
  return anabranch::hf::ModelConfig::load(folder.path());
}

/// The text of the error, without the folder's name; "nothing" without one.
inline std::string config_error(const Json& config, const Json& generation = nullptr) {
  std::string text = error_of([&] { load_config(config, generation); });
  const auto end = text.find("config.json");
  const auto begin = text.find('/');
  if (begin < end && end != std::string::npos) text.erase(begin, text.rfind('/', end) + 1 - begin);
  return text;
}

inline std::string error_with(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config_error(config);
}

}  // namespace test
