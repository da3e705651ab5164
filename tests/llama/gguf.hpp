// SmolLM2-135M-Instruct as GGUF, for the tests that need a model whose answers mean something.
#pragma once

#include "catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <anabranch/llama/gguf_model.hpp>

namespace anabranch::test {

/// The file beside the model folder that ANABRANCH_MODEL names: <folder>-f32.gguf, -q8_0.gguf, -q4_1.gguf.
inline std::filesystem::path gguf_file(const std::string& type) {
  const char* folder = std::getenv("ANABRANCH_MODEL");
  return std::string(folder != nullptr ? folder : "build/models/smollm2-135m") + "-" + type + ".gguf";
}

/// Loaded once per type, with few cells; nullptr, and the test's output says why, when the file is not there.
inline llama::GgufModel* gguf_model(const std::string& type) {
  static std::map<std::string, std::optional<llama::GgufModel>> loaded;
  const auto [it, is_new] = loaded.try_emplace(type);
  if (is_new && std::filesystem::exists(gguf_file(type)))
    it->second.emplace(llama::GgufModel::load(
        gguf_file(type), {.n_cells = 768, .n_seq_ids = 256, .n_threads = 1, .cells = llama::CellType::float32}));
  if (!it->second) WARN("skipped: no model in " << gguf_file(type).string());
  return it->second ? &*it->second : nullptr;
}

}  // namespace anabranch::test
