#include "adapter_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include <anabranch/error.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {
namespace {

// Keys that cannot change what the tensors mean: they are about training, or about how the tensors began.
constexpr std::array<std::string_view, 13> kHarmless{
    "auto_mapping", "base_model_name_or_path", "corda_config",  "eva_config",   "inference_mode",    "loftq_config",
    "lora_dropout", "lora_ga_config",          "megatron_core", "peft_version", "qalora_group_size", "revision",
    "task_type"};
constexpr std::array<std::string_view, 17> kRead{
    "alpha_pattern",  "bias",       "ensure_weight_tying", "exclude_modules",     "init_lora_weights",
    "layers_pattern", "lora_alpha", "lora_bias",           "layers_to_transform", "modules_to_save",
    "peft_type",      "r",          "rank_pattern",        "target_modules",      "trainable_token_indices",
    "use_dora",       "use_rslora"};

bool is_nothing(const Json& value) {
  return value.is_null() || value == false || ((value.is_object() || value.is_array()) && value.empty());
}

// Everything else that is set changes the result: another kind of adapter, parameters beside it, and so on.
void refuse_other_features(const JsonObject& config) {
  for (const auto& [key, value] : config.json().items()) {
    const auto has = [&key = key](const auto& keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
    if (!has(kHarmless) && !has(kRead) && !is_nothing(value))
      config.unsupported(key.c_str(), shown(value) +
                                          " is not supported; supported are LoRA, rsLoRA and DoRA, modules "
                                          "that are saved whole, biases and token rows");
  }
}

AdapterKind read_kind(const JsonObject& config) {
  AdapterKind kind;
  kind.bias = config.optional_text("bias").value_or(kind.bias);
  if (kind.bias != "none" && kind.bias != "all" && kind.bias != "lora_only")
    config.unsupported("bias", "\"" + kind.bias + "\" is not supported, only \"none\", \"all\" and \"lora_only\"");
  kind.dora = config.flag_or("use_dora", false);
  kind.factor_bias = config.flag_or("lora_bias", false);
  if (kind.dora && kind.factor_bias)
    config.unsupported("lora_bias", "true is not supported together with 'use_dora', only one of both");
  kind.tied = config.flag_or("ensure_weight_tying", false);
  kind.modules_to_save = read_names(config, "modules_to_save");
  return kind;
}

// These ways to begin leave the model's own weights alone; the others subtract what the adapter begins with from them.
void refuse_changed_base(const JsonObject& config) {
  const Json* how = config.find("init_lora_weights");
  if (how == nullptr || how->is_boolean()) return;
  for (const char* known : {"gaussian", "eva", "orthogonal", "mica"})
    if (*how == known) return;
  config.unsupported("init_lora_weights", shown(*how) + " changes the model's own weights, which is not supported");
}

// In the order of the file, which decides where two expressions fit one module.
ModuleNumbers read_pattern(const JsonObject& config, const nlohmann::ordered_json& in_order, const char* key) {
  constexpr RegexFrame kFrame{R"((.*\.)?()", ")$"};
  ModuleNumbers numbers;
  const auto object = config.optional_object(key);
  if (!object) return numbers;
  for (const auto& [expression, ignored] : in_order.at(key).items()) {
    const Json& value = object->json().at(expression);
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!std::isfinite(number) || number <= 0) object->wrong(expression.c_str(), "a finite number above 0", value);
    numbers.add(ModuleRegex(expression, object->where(), kFrame), number);
  }
  return numbers;
}

std::vector<TokenId> read_ids(const JsonObject& object, const char* key) {
  std::vector<TokenId> ids;
  std::set<TokenId> seen;
  for (const Json& value : object.array(key)) {
    const auto id = token_id(value);
    if (!id || !seen.insert(*id).second) object.wrong(key, "different token ids", value);
    ids.push_back(*id);
  }
  return ids;
}

bool names(const std::string& name, const char* layer) { return is_target({layer}, name); }

// A list means the embedding; an object says which layers.
void read_token_rows(const JsonObject& config, AdapterConfig& result) {
  const char* key = "trainable_token_indices";
  const Json* value = config.find(key);
  if (value == nullptr) return;
  if (value->is_array()) {
    result.tokens = read_ids(config, key);
    return;
  }
  const JsonObject layers = config.object(key);
  for (const auto& [name, ids] : layers.json().items()) {
    if (names(name, "embed_tokens"))
      result.tokens = read_ids(layers, name.c_str());
    else if (names(name, "lm_head"))
      result.head_tokens = read_ids(layers, name.c_str());
    else
      layers.unsupported(name.c_str(), "rows of this layer are not supported, only of embed_tokens and lm_head");
  }
}

/// A number that needs no fraction is written without one.
Json number(float value) {
  if (std::abs(value) < 0x1p24f && std::trunc(value) == value) return static_cast<std::int64_t>(value);
  return value;
}

Json tokens_json(const Adapter& adapter) {
  if (adapter.head_tokens.empty()) return adapter.tokens.empty() ? Json() : Json(adapter.tokens.ids);
  Json layers = {{"lm_head", adapter.head_tokens.ids}};
  if (!adapter.tokens.empty()) layers["embed_tokens"] = adapter.tokens.ids;
  return layers;
}

}  // namespace

AdapterConfig AdapterConfig::load(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  const Json json = parse_json(text, file.string(), DuplicateKeys::refused);
  const auto in_order = nlohmann::ordered_json::parse(text);
  const JsonObject config(json, file.string());
  AdapterConfig result;
  if (const std::string type = config.text("peft_type"); type != "LORA")
    config.unsupported("peft_type", "\"" + type + "\" is not supported, only \"LORA\"");
  if (const auto task = config.optional_text("task_type"); task && *task != "CAUSAL_LM")
    config.unsupported("task_type", "\"" + *task + "\" is not supported, only \"CAUSAL_LM\"");
  refuse_other_features(config);
  refuse_changed_base(config);
  result.rank = config.integer("r", 1);
  result.alpha = static_cast<float>(config.positive("lora_alpha"));
  result.scale = config.flag_or("use_rslora", false) ? LoraScale::by_root : LoraScale::by_rank;
  result.base_model = config.optional_text("base_model_name_or_path").value_or("");
  result.kind = read_kind(config);
  result.ranks = read_pattern(config, in_order, "rank_pattern");
  result.alphas = read_pattern(config, in_order, "alpha_pattern");
  result.targets = ModuleTargets::load(config, result.kind.modules_to_save);
  read_token_rows(config, result);
  return result;
}

std::string adapter_config_json(const Adapter& adapter) {
  Json targets = Json(adapter.target_modules), ranks = Json::object(), alphas = Json::object();
  for (const auto& [module, pair] : adapter.modules) {
    if (adapter.target_modules.empty()) targets.push_back(module);
    if (pair.rank() != adapter.rank) ranks["^" + module] = pair.rank();
    if (pair.alpha && *pair.alpha != adapter.alpha) alphas["^" + module] = number(*pair.alpha);
  }
  const std::vector<std::string>& saved = adapter.kind.modules_to_save;
  const Json json = {{"peft_type", "LORA"},
                     {"task_type", "CAUSAL_LM"},
                     {"base_model_name_or_path", adapter.base_model.empty() ? Json() : Json(adapter.base_model)},
                     {"r", adapter.rank},
                     {"lora_alpha", number(adapter.alpha)},
                     {"use_rslora", adapter.scale == LoraScale::by_root},
                     {"rank_pattern", ranks},
                     {"alpha_pattern", alphas},
                     {"target_modules", targets},
                     {"trainable_token_indices", tokens_json(adapter)},
                     {"bias", adapter.kind.bias},
                     {"fan_in_fan_out", false},
                     {"inference_mode", true},
                     {"init_lora_weights", true},
                     {"lora_dropout", 0.0},
                     {"modules_to_save", saved.empty() ? Json() : Json(saved)},
                     {"ensure_weight_tying", adapter.kind.tied},
                     {"lora_bias", adapter.kind.factor_bias},
                     {"use_dora", adapter.kind.dora}};
  return json.dump(2) + "\n";
}

}  // namespace anabranch::hf::impl
