// adapter_config.json: what `peft` writes of a LoRA adapter beside its tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <anabranch/hf/adapter.hpp>

#include "adapter_targets.hpp"

namespace anabranch::hf::impl {

struct AdapterConfig {
  std::int32_t rank = 0;
  float alpha = 0;
  LoraScale scale = LoraScale::by_rank;
  std::string base_model;
  AdapterKind kind;
  ModuleTargets targets;
  ModuleNumbers ranks, alphas;
  std::vector<TokenId> tokens, head_tokens;  ///< in the order of their rows

  /// Throws `bad_file` or `unsupported`.
  static AdapterConfig load(const std::filesystem::path& file);
};

/// The file's text for an adapter.
std::string adapter_config_json(const Adapter& adapter);

}  // namespace anabranch::hf::impl
