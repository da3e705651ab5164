// Which modules of a model an adapter's configuration speaks of, by `peft`'s rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json_file.hpp"
#include "module_regex.hpp"

namespace anabranch::hf::impl {

/// Whether one of the names is the module's path or its end, from a dot on.
bool is_target(const std::vector<std::string>& names, std::string_view module);

/// Numbers of single modules (`rank_pattern`, `alpha_pattern`). The first expression that fits counts.
class ModuleNumbers {
 public:
  void add(ModuleRegex expression, double value) { values_.emplace_back(std::move(expression), value); }
  std::optional<double> find(std::string_view module) const;

 private:
  std::vector<std::pair<ModuleRegex, double>> values_;
};

/// Names of modules, or an expression that fits their whole paths; neither: none.
struct ModuleSet {
  std::vector<std::string> names;
  std::optional<ModuleRegex> expression;

  /// Reads a list or a string. Throws bad_file or unsupported.
  static ModuleSet load(const JsonObject& config, const char* key);
  bool has(std::string_view module) const;
  bool empty() const noexcept { return names.empty() && !expression; }
};

/// The modules that get factors: `target_modules` without `exclude_modules`, of the layers of `layers_to_transform`.
class ModuleTargets {
 public:
  /// Throws bad_file or unsupported.
  static ModuleTargets load(const JsonObject& config, const std::vector<std::string>& modules_to_save);

  bool has(std::string_view module) const;
  /// Whether the configuration names any.
  bool any() const noexcept { return all_linear_ || !targets_.empty(); }
  /// The names, where they alone say which modules are meant.
  std::vector<std::string> plain_names() const;

 private:
  void load_layers(const JsonObject& config);
  bool is_excluded(std::string_view module) const;
  bool is_in_layers(std::string_view module) const;

  ModuleSet targets_, excluded_;
  bool all_linear_ = false;
  std::vector<ModuleRegex> saved_;    ///< modules that are saved whole have no factors
  std::vector<std::int32_t> layers_;  ///< empty: all
  std::vector<ModuleRegex> layer_names_;
};

/// Whether one of the names ends the path of the module or of one around it: how `peft` finds `modules_to_save`.
bool is_saved_module(const std::vector<std::string>& names, std::string_view module);

/// Strings of a list. Throws bad_file.
std::vector<std::string> read_names(const JsonObject& config, const char* key);

}  // namespace anabranch::hf::impl
