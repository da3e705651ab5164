#include <anabranch/hf/config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "json_file.hpp"
#include "quantisation.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;

struct Shape {
  Architecture architecture;
  const char* class_name;
  const char* model_type;
  std::int32_t max_positions;  ///< what transformers takes when the key is absent
};
constexpr std::array<Shape, 3> kShapes{{
    {Architecture::llama, "LlamaForCausalLM", "llama", 2048},
    {Architecture::qwen2, "Qwen2ForCausalLM", "qwen2", 32768},
    {Architecture::qwen3, "Qwen3ForCausalLM", "qwen3", 32768},
}};
constexpr const char* kSupported = "supported are LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM";

// `architectures` names the class with its output head; `model_type` is all that a bare configuration has.
const Shape& supported_shape(const JsonObject& config) {
  const auto type = config.optional_text("model_type");
  const Shape* by_class = nullptr;
  if (config.find("architectures")) {
    const Json& names = config.array("architectures");
    if (names.size() != 1 || !names[0].is_string()) config.wrong("architectures", "an array of one name", names);
    for (const Shape& shape : kShapes)
      if (names[0] == shape.class_name) by_class = &shape;
    if (!by_class) config.unsupported("architectures", impl::shown(names[0]) + " is not supported; " + kSupported);
    if (type && *type != by_class->model_type)
      config.unsupported("model_type", "\"" + *type + "\" does not belong to " + by_class->class_name);
    return *by_class;
  }
  if (!type) fail(Status::bad_file, config.where(), ": expected 'architectures' or 'model_type', found neither");
  for (const Shape& shape : kShapes)
    if (*type == shape.model_type) return shape;
  config.unsupported("model_type", "\"" + *type + "\" is not supported; " + kSupported);
}

void refuse_number_that_differs(const JsonObject& object, const char* key, double only) {
  const Json* value = object.find(key);
  if (!value) return;
  if (!value->is_number()) object.wrong(key, "a number", *value);
  if (value->get<double>() != only)
    object.unsupported(key, impl::shown(*value) + " is not supported, only " + impl::shown(only));
}

void read_llama3_scaling(const JsonObject& scaling, const JsonObject& config, Position max_positions,
                         RopeConfig& rope) {
  rope.scaling = RopeScaling::llama3;
  rope.factor = scaling.positive("factor");
  rope.low_freq_factor = scaling.positive("low_freq_factor");
  rope.high_freq_factor = scaling.positive("high_freq_factor");
  if (rope.factor < 1.0) scaling.wrong("factor", "a number of at least 1", scaling.require("factor", "a number"));
  if (rope.high_freq_factor <= rope.low_freq_factor)
    scaling.wrong("high_freq_factor", "a number above low_freq_factor",
                  scaling.require("high_freq_factor", "a number"));
  const Position inside = scaling.integer_or("original_max_position_embeddings", 1, max_positions);
  rope.original_max_positions = config.integer_or("original_max_position_embeddings", 1, inside);
}

// transformers 5 writes `rope_parameters`; before, `rope_theta` stood beside `rope_scaling`, whose type was once
// `type`.
RopeConfig read_rope(const JsonObject& config, Position max_positions) {
  RopeConfig rope;
  rope.theta = config.positive_or("rope_theta", rope.theta);
  refuse_number_that_differs(config, "partial_rotary_factor", 1.0);
  auto parameters = config.optional_object("rope_scaling");
  if (!parameters || parameters->json().empty()) parameters = config.optional_object("rope_parameters");
  if (!parameters) return rope;
  for (const char* nested : {"full_attention", "sliding_attention"})
    if (parameters->find(nested)) parameters->unsupported(nested, "rope parameters per layer type are not supported");
  rope.theta = parameters->positive_or("rope_theta", rope.theta);
  refuse_number_that_differs(*parameters, "partial_rotary_factor", 1.0);
  const char* key = parameters->find("rope_type") ? "rope_type" : "type";
  const std::string type = parameters->optional_text(key).value_or("default");
  if (type == "llama3") {
    read_llama3_scaling(*parameters, config, max_positions, rope);
  } else if (type != "default") {
    parameters->unsupported(key, "\"" + type + "\" is not supported; supported are \"default\" and \"llama3\"");
  }
  return rope;
}

// Settings that would change the result and are not supported.
void refuse_other_features(const JsonObject& config) {
  const std::string activation = config.optional_text("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish")
    config.unsupported("hidden_act", "\"" + activation + "\" is not supported, only \"silu\"");
  if (config.flag_or("mlp_bias", false)) config.unsupported("mlp_bias", "biases in the feed-forward are not supported");
}

// Qwen: layers from `max_window_layers` on slide when `use_sliding_window` is set; `layer_types` overrides both.
void refuse_sliding_windows(const JsonObject& config, std::int32_t n_layers) {
  if (config.find("layer_types")) {
    const Json& types = config.array("layer_types");
    if (std::cmp_not_equal(types.size(), n_layers))
      config.wrong("layer_types", "one entry for each of " + std::to_string(n_layers) + " layers", types);
    for (const Json& type : types)
      if (type != "full_attention")
        config.unsupported("layer_types", impl::shown(type) + " is not supported, only \"full_attention\"");
    return;
  }
  if (!config.flag_or("use_sliding_window", false)) return;
  if (config.json().contains("sliding_window") && !config.find("sliding_window")) return;
  const std::int32_t first = config.integer_or("max_window_layers", 0, 28);
  if (first < n_layers)
    config.unsupported("use_sliding_window", "sliding windows are not supported; layers from " + std::to_string(first) +
                                                 " of " + std::to_string(n_layers) + " use one");
}

void read_heads(const JsonObject& config, ModelConfig& model) {
  const bool llama = model.architecture == Architecture::llama;
  model.n_heads = config.integer("num_attention_heads", 1);
  // transformers: absent in a Qwen file means 32, null means as many as query heads.
  const bool absent = !config.json().contains("num_key_value_heads");
  model.n_kv_heads = config.integer_or("num_key_value_heads", 1, absent && !llama ? 32 : model.n_heads);
  if (model.n_heads % model.n_kv_heads != 0)
    fail(Status::bad_file, config.where(), ": 'num_key_value_heads': expected a divisor of num_attention_heads (",
         model.n_heads, "), found ", model.n_kv_heads);
  const bool own_head_dim = config.find("head_dim") != nullptr || model.architecture == Architecture::qwen3;
  if ((llama || !own_head_dim) && model.hidden % model.n_heads != 0)
    fail(Status::bad_file, config.where(), ": 'hidden_size': expected a multiple of num_attention_heads (",
         model.n_heads, "), found ", model.hidden);
  const bool qwen3_default = model.architecture == Architecture::qwen3 && !config.json().contains("head_dim");
  model.head_dim = config.integer_or("head_dim", 1, qwen3_default ? 128 : model.hidden / model.n_heads);
  if (model.head_dim < 1 || model.head_dim % 2 != 0)
    fail(Status::bad_file, config.where(), ": 'head_dim': expected an even number for the rotary pairs, found ",
         model.head_dim);
  if (static_cast<std::int64_t>(model.n_heads) * model.head_dim > kUnlimited)
    fail(Status::bad_file, config.where(), ": 'num_attention_heads' * 'head_dim': expected at most ", kUnlimited,
         ", found ", model.n_heads, " * ", model.head_dim);
}

void read_end_tokens(const JsonObject& object, ModelConfig& model) {
  const auto read = [&](const char* key, const Json& value) {
    const auto id = impl::token_id(value);
    if (!id || *id >= model.vocabulary)
      object.wrong(key, "token ids from 0 to " + std::to_string(model.vocabulary - 1), value);
    return *id;
  };
  if (const Json* bos = object.find("bos_token_id")) {
    // a list of alternatives: the first one starts a text
    if (bos->is_array() && bos->empty()) object.wrong("bos_token_id", "a token id", *bos);
    model.bos = read("bos_token_id", bos->is_array() ? bos->front() : *bos);
  }
  if (const Json* eos = object.find("eos_token_id")) {
    std::vector<TokenId> ids;
    if (eos->is_array()) {
      for (const Json& value : *eos) ids.push_back(read("eos_token_id", value));
    } else {
      ids.push_back(read("eos_token_id", *eos));
    }
    add_tokens(model.eos, ids);
  }
}

std::optional<Dtype> read_dtype(const JsonObject& config) {
  const char* key = config.find("dtype") ? "dtype" : "torch_dtype";
  const auto name = config.optional_text(key);
  if (!name || *name == "auto") return std::nullopt;
  if (*name == "float32") return Dtype::f32;
  if (*name == "float16") return Dtype::f16;
  if (*name == "bfloat16") return Dtype::bf16;
  config.unsupported(key, "\"" + *name + "\" is not supported; supported are float32, float16 and bfloat16");
}

// Sizes that tables are made of before any tensor is looked at: a file of some bytes must not ask for gigabytes.
void require_limits(const JsonObject& config, const ModelConfig& model) {
  constexpr std::int32_t kMostLayers = 4096, kWidestHead = 65536;
  if (model.n_layers > kMostLayers)
    fail(Status::unsupported, config.where(), ": 'num_hidden_layers': expected at most ", kMostLayers, ", found ",
         model.n_layers);
  if (model.head_dim > kWidestHead)
    fail(Status::unsupported, config.where(), ": 'head_dim': expected at most ", kWidestHead, ", found ",
         model.head_dim);
}

ModelConfig read_model(const JsonObject& config) {
  ModelConfig model;
  const Shape& shape = supported_shape(config);
  model.architecture = shape.architecture;
  refuse_other_features(config);
  model.vocabulary = config.integer("vocab_size", 1);
  model.hidden = config.integer("hidden_size", 1);
  model.ffn = config.integer("intermediate_size", 1);
  model.n_layers = config.integer("num_hidden_layers", 1);
  read_heads(config, model);
  require_limits(config, model);
  if (model.architecture != Architecture::llama) refuse_sliding_windows(config, model.n_layers);
  model.max_positions = config.integer_or("max_position_embeddings", 1, shape.max_positions);
  model.rms_eps = config.positive_or("rms_norm_eps", 1e-6);
  model.rope = read_rope(config, model.max_positions);
  model.tied_embeddings = config.flag_or("tie_word_embeddings", false);
  const bool bias = config.flag_or("attention_bias", false);
  model.qkv_bias = model.architecture == Architecture::qwen2 || bias;
  model.o_bias = model.architecture != Architecture::qwen2 && bias;
  model.qk_norm = model.architecture == Architecture::qwen3;
  model.dtype = read_dtype(config);
  model.quantisation = impl::read_quantisation(config);
  read_end_tokens(config, model);
  return model;
}

}  // namespace

const char* architecture_name(Architecture architecture) noexcept {
  for (const Shape& shape : kShapes)
    if (shape.architecture == architecture) return shape.class_name;
  return "unknown";
}

std::vector<double> rope_inverse_frequencies(const RopeConfig& rope, std::int32_t head_dim) {
  if (head_dim <= 0 || head_dim % 2 != 0)
    fail(Status::bad_argument, "head_dim: expected an even number above 0, found ", head_dim);
  std::vector<double> result;
  for (std::int32_t i = 0; i < head_dim / 2; ++i) {
    double frequency = std::pow(rope.theta, -2.0 * i / head_dim);
    if (rope.scaling == RopeScaling::llama3) {
      const double turns = rope.original_max_positions * frequency / (2 * std::numbers::pi);  // in the old context
      const double blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      if (turns < rope.low_freq_factor) {
        frequency /= rope.factor;
      } else if (turns <= rope.high_freq_factor) {
        frequency = (1 - blend) * frequency / rope.factor + blend * frequency;
      }
    }
    result.push_back(frequency);
  }
  return result;
}

void add_tokens(std::vector<TokenId>& tokens, std::span<const TokenId> more) {
  for (const TokenId token : more)
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
}

ModelConfig ModelConfig::load(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const Json json = impl::parse_json(impl::read_file(file), file.string());
  ModelConfig model = read_model(JsonObject(json, file.string()));
  const std::filesystem::path generation = folder / "generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(generation, error)) {
    const Json settings = impl::parse_json(impl::read_file(generation), generation.string());
    read_end_tokens(JsonObject(settings, generation.string()), model);
  }
  return model;
}

}  // namespace anabranch::hf
