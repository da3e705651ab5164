#include "adapter_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include <anabranch/error.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {
namespace {

// Keys that cannot change what the tensors mean: they are about training, about how the tensors began, or about which
// modules got tensors at all.
constexpr std::array<std::string_view, 18> kHarmless{"auto_mapping",        "base_model_name_or_path",
                                                     "corda_config",        "ensure_weight_tying",
                                                     "eva_config",          "exclude_modules",
                                                     "inference_mode",      "layers_pattern",
                                                     "layers_to_transform", "loftq_config",
                                                     "lora_dropout",        "lora_ga_config",
                                                     "megatron_core",       "peft_version",
                                                     "qalora_group_size",   "revision",
                                                     "task_type",           "target_modules"};
constexpr std::array<std::string_view, 9> kRead{"alpha_pattern", "bias",       "init_lora_weights",
                                                "lora_alpha",    "peft_type",  "r",
                                                "rank_pattern",  "use_rslora", "trainable_token_indices"};

bool is_nothing(const Json& value) {
  return value.is_null() || value == false || ((value.is_object() || value.is_array()) && value.empty());
}

// Everything else that is set changes the result: another kind of adapter, whole modules beside it, and so on.
void refuse_other_features(const JsonObject& config) {
  for (const auto& [key, value] : config.json().items()) {
    const auto has = [&key = key](const auto& keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
    if (!has(kHarmless) && !has(kRead) && !is_nothing(value))
      config.unsupported(key.c_str(), shown(value) + " is not supported; supported is plain LoRA with token rows");
  }
  if (const auto bias = config.optional_text("bias"); bias && *bias != "none")
    config.unsupported("bias", "\"" + *bias + "\" is not supported, only \"none\"");
}

// These ways to begin leave the model's own weights alone; the others subtract what the adapter begins with from them.
void refuse_changed_base(const JsonObject& config) {
  const Json* how = config.find("init_lora_weights");
  if (how == nullptr || how->is_boolean()) return;
  for (const char* known : {"gaussian", "eva", "orthogonal", "mica"})
    if (*how == known) return;
  config.unsupported("init_lora_weights", shown(*how) + " changes the model's own weights, which is not supported");
}

// `peft` takes regular expressions here; names with the marks of a beginning and an end are what people write.
ModulePattern read_pattern(const JsonObject& config, const char* key) {
  ModulePattern pattern;
  const auto object = config.optional_object(key);
  if (!object) return pattern;
  for (const auto& [name, value] : object->json().items()) {
    const bool plain = name.find_first_not_of("^abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
                       std::string::npos;
    if (name.empty() || !plain || name.find('^', 1) != std::string::npos)
      config.unsupported(key, "the regular expression \"" + name + "\" is not supported, only names of modules");
    pattern.add(name, object->positive(name.c_str()));
  }
  return pattern;
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

bool names(std::string_view name, std::string_view layer) {
  return name == layer ||
         (name.size() > layer.size() && name.ends_with(layer) && name[name.size() - layer.size() - 1] == '.');
}

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

// Kept only where the list alone says which modules are meant.
std::vector<std::string> read_targets(const JsonObject& config) {
  const char* key = "target_modules";
  const Json* value = config.find(key);
  if (value == nullptr || !value->is_array()) return {};
  std::vector<std::string> targets;
  for (const Json& name : *value) {
    if (!name.is_string() || name.get<std::string>().empty()) config.wrong(key, "names of modules", name);
    targets.push_back(name.get<std::string>());
  }
  std::sort(targets.begin(), targets.end());
  return targets;
}

bool is_narrowed(const JsonObject& config) {
  const auto set = [&](const char* key) { return config.find(key) != nullptr && !is_nothing(*config.find(key)); };
  return set("exclude_modules") || set("layers_to_transform");
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

std::optional<double> ModulePattern::find(std::string_view module, const std::string& where) const {
  std::optional<double> found;
  for (const auto& [name, value] : values_) {
    const bool fits = name.front() == '^' ? module == std::string_view(name).substr(1) : names(module, name);
    if (!fits) continue;
    if (found && *found != value) fail(Status::unsupported, where, ": two different values for module ", module);
    found = value;
  }
  return found;
}

AdapterConfig AdapterConfig::load(const std::filesystem::path& file) {
  const Json json = parse_json(read_file(file), file.string(), DuplicateKeys::refused);
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
  result.ranks = read_pattern(config, "rank_pattern");
  result.alphas = read_pattern(config, "alpha_pattern");
  if (!is_narrowed(config)) result.target_modules = read_targets(config);
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
                     {"bias", "none"},
                     {"fan_in_fan_out", false},
                     {"inference_mode", true},
                     {"init_lora_weights", true},
                     {"lora_dropout", 0.0},
                     {"modules_to_save", nullptr},
                     {"use_dora", false}};
  return json.dump(2) + "\n";
}

bool is_target(const std::vector<std::string>& targets, std::string_view module) {
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& name) { return names(module, name); });
}

}  // namespace anabranch::hf::impl
