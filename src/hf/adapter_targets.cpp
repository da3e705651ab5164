#include "adapter_targets.hpp"

#include <algorithm>
#include <charconv>

#include <anabranch/error.hpp>
#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::hf::impl {
namespace {

/// `peft` writes these around the expressions of `modules_to_save` and `layers_pattern`.
constexpr RegexFrame kSavedFrame{R"((^|.*\.))", R"(($|\..*))"};
constexpr RegexFrame kLayerFrame{R"((?:^|.*?\.))", R"(\.(?P<idx>\d+)\.)"};
constexpr RegexFrame kAnyLayerFrame{R"(.*?\.[^.]*\.(?P<idx>)", R"()\.)"};
constexpr const char* kIndexGroup = "idx";

bool means_all_linear(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text == "all-linear";
}

std::string place(const JsonObject& config, const char* key) { return config.where() + ": '" + key + "'"; }

bool is_set(const JsonObject& config, const char* key) {
  const Json* value = config.find(key);
  return value != nullptr && !(value->is_array() && value->empty()) && *value != "";
}

}  // namespace

bool is_target(const std::vector<std::string>& names, std::string_view module) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return module == name ||
           (module.size() > name.size() && module.ends_with(name) && module[module.size() - name.size() - 1] == '.');
  });
}

bool is_saved_module(const std::vector<std::string>& names, std::string_view module) {
  for (std::string_view path = module;; path = path.substr(0, path.rfind('.'))) {
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) { return path.ends_with(name); }))
      return true;
    if (path.find('.') == std::string_view::npos) return false;
  }
}

std::optional<double> ModuleNumbers::find(std::string_view module) const {
  for (const auto& [expression, value] : values_)
    if (expression.matches_start(module)) return value;
  return std::nullopt;
}

std::vector<std::string> read_names(const JsonObject& config, const char* key) {
  std::vector<std::string> names;
  if (config.find(key) == nullptr) return names;
  for (const Json& name : config.array(key)) {
    if (!name.is_string() || name.get<std::string>().empty()) config.wrong(key, "names of modules", name);
    names.push_back(name.get<std::string>());
  }
  return names;
}

ModuleSet ModuleSet::load(const JsonObject& config, const char* key) {
  ModuleSet set;
  const Json* value = config.find(key);
  if (value == nullptr) return set;
  if (value->is_string()) {
    if (const auto text = value->get<std::string>(); !text.empty()) set.expression.emplace(text, place(config, key));
  } else if (value->is_array()) {
    set.names = read_names(config, key);
  } else {
    config.wrong(key, "names of modules or a regular expression", *value);
  }
  return set;
}

bool ModuleSet::has(std::string_view module) const {
  return expression ? expression->matches_all(module) : is_target(names, module);
}

ModuleTargets ModuleTargets::load(const JsonObject& config, const std::vector<std::string>& modules_to_save) {
  ModuleTargets result;
  const Json* targets = config.find("target_modules");
  result.all_linear_ = targets != nullptr && targets->is_string() && means_all_linear(targets->get<std::string>());
  if (!result.all_linear_) result.targets_ = ModuleSet::load(config, "target_modules");
  result.excluded_ = ModuleSet::load(config, "exclude_modules");
  for (const std::string& name : modules_to_save)
    result.saved_.emplace_back(name, place(config, "modules_to_save"), kSavedFrame);
  result.load_layers(config);
  return result;
}

void ModuleTargets::load_layers(const JsonObject& config) {
  const char *key = "layers_to_transform", *names_key = "layers_pattern";
  const bool narrowed = is_set(config, key);
  if (is_set(config, names_key) && !narrowed)
    config.unsupported(names_key, "it has no meaning without 'layers_to_transform'");
  if (!narrowed) return;
  if (targets_.expression || all_linear_)
    config.unsupported(key, "it is supported only beside a list as 'target_modules', found an expression");
  const Json& value = *config.find(key);
  const Json list = value.is_array() ? value : Json::array({value});
  for (const Json& index : list) {
    const auto layer = token_id(index);
    if (!layer) config.wrong(key, "numbers of layers from 0", index);
    layers_.push_back(*layer);
  }
  if (!is_set(config, names_key)) {
    layer_names_.emplace_back("\\d+", place(config, key), kAnyLayerFrame);
    return;
  }
  const Json& names = *config.find(names_key);
  const std::vector<std::string> patterns =
      names.is_string() ? std::vector<std::string>{names.get<std::string>()} : read_names(config, names_key);
  for (const std::string& name : patterns) layer_names_.emplace_back(name, place(config, names_key), kLayerFrame);
}

bool ModuleTargets::is_excluded(std::string_view module) const {
  return excluded_.has(module) || std::any_of(saved_.begin(), saved_.end(),
                                              [&](const ModuleRegex& saved) { return saved.matches_start(module); });
}

bool ModuleTargets::is_in_layers(std::string_view module) const {
  for (const ModuleRegex& name : layer_names_) {
    const std::optional<std::string> found = name.group(module, kIndexGroup);
    if (!found) continue;
    std::int32_t index = 0;
    const auto [end, error] = std::from_chars(found->data(), found->data() + found->size(), index);
    return error == std::errc() && end == found->data() + found->size() &&
           std::find(layers_.begin(), layers_.end(), index) != layers_.end();
  }
  return layer_names_.empty();
}

bool ModuleTargets::has(std::string_view module) const {
  if (is_excluded(module)) return false;
  if (all_linear_) return module != kHeadModule && module != kEmbeddingModule;
  if (!targets_.has(module)) return false;
  const auto& names = targets_.names;
  return std::find(names.begin(), names.end(), module) != names.end() || is_in_layers(module);
}

std::vector<std::string> ModuleTargets::plain_names() const {
  if (all_linear_ || targets_.expression || !excluded_.empty() || !saved_.empty() || !layers_.empty()) return {};
  std::vector<std::string> names = targets_.names;
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace anabranch::hf::impl
