// SmolLM2-135M-Instruct in float32, for the tests that need a model whose answers mean something.
#pragma once

#include "catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>

#include <anabranch/torch/causal_lm.hpp>

namespace anabranch::test {

/// Loaded once; nullptr, and the test's output says why, when there is no model folder.
inline torch::CausalLm* real_model() {
  static std::optional<torch::CausalLm> loaded = []() -> std::optional<torch::CausalLm> {
    const char* folder = std::getenv("ANABRANCH_MODEL");
    const std::filesystem::path path = folder != nullptr ? folder : "build/models/smollm2-135m";
    if (!std::filesystem::exists(path / "config.json")) {
      WARN("skipped: no model in " << path.string() << " (ANABRANCH_MODEL names the folder)");
      return std::nullopt;
    }
    return torch::CausalLm::load(path, {.weights = torch::Weights::float32});
  }();
  return loaded ? &*loaded : nullptr;
}

}  // namespace anabranch::test
