// adapter_config.json: what `peft` writes of a LoRA adapter beside its tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/adapter.hpp>

namespace anabranch::hf::impl {

/// Numbers of single modules, by the name they are given for: the end of a module's path, or with ^ all of it.
class ModulePattern {
 public:
  void add(std::string name, double value) { values_.emplace(std::move(name), value); }
  /// The value for a module; none if no name fits. Throws `unsupported`, starting with `where`, if two values do.
  std::optional<double> find(std::string_view module, const std::string& where) const;

 private:
  std::map<std::string, double> values_;
};

struct AdapterConfig {
  std::int32_t rank = 0;
  float alpha = 0;
  LoraScale scale = LoraScale::by_rank;
  std::string base_model;
  std::vector<std::string> target_modules;  ///< empty: not a plain list
  ModulePattern ranks, alphas;
  std::vector<TokenId> tokens, head_tokens;  ///< in the order of their rows

  /// Throws `bad_file` or `unsupported`.
  static AdapterConfig load(const std::filesystem::path& file);
};

/// The file's text for an adapter.
std::string adapter_config_json(const Adapter& adapter);

/// Whether one of the names is the module's path or its end, from a dot on.
bool is_target(const std::vector<std::string>& names, std::string_view module);

}  // namespace anabranch::hf::impl
