// SmolLM2-135M-Instruct in float32, for the tests that need a model whose answers mean something.
#pragma once

#include "catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::test {

/// None, and the test's output says why, when there is no model folder.
inline std::optional<std::filesystem::path> real_model_folder() {
  const char* folder = std::getenv("ANABRANCH_MODEL");
  const std::filesystem::path path = folder != nullptr ? folder : "build/models/smollm2-135m";
  if (std::filesystem::exists(path / "config.json")) return path;
  WARN("skipped: no model in " << path.string() << " (ANABRANCH_MODEL names the folder)");
  return {};
}

/// Loaded once for each type of weights; nullptr without a model folder.
inline torch::CausalLm* real_model(torch::Weights weights = torch::Weights::float32) {
  static std::map<torch::Weights, torch::CausalLm> loaded;
  const std::optional<std::filesystem::path> folder = real_model_folder();
  if (!folder) return nullptr;
  const auto found = loaded.find(weights);
  if (found != loaded.end()) return &found->second;
  return &loaded.emplace(weights, torch::CausalLm::load(*folder, {.weights = weights})).first->second;
}

}  // namespace anabranch::test
