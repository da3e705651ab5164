// SmolLM2-135M-Instruct as GGUF: whole, for the tests that need a model whose answers mean something; its first layers,
// for those that compare the logits of a tree.
#pragma once

#include "catch.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <ggml.h>
#include <gguf.h>

#include <anabranch/llama/gguf_model.hpp>

namespace anabranch::test {

/// The file beside the model folder that ANABRANCH_MODEL names: <folder>-f32.gguf, -q8_0.gguf, -q4_1.gguf.
inline std::filesystem::path gguf_file(const std::string& type) {
  const char* folder = std::getenv("ANABRANCH_MODEL");
  return std::string(folder != nullptr ? folder : "build/models/smollm2-135m") + "-" + type + ".gguf";
}

/// Writes what `from` holds, with only its first `n_layers` layers.
inline void write_first_layers(const std::filesystem::path& from, int n_layers, const std::filesystem::path& to) {
  ggml_context* tensors = nullptr;
  gguf_context* whole = gguf_init_from_file(from.c_str(), {.no_alloc = false, .ctx = &tensors});
  REQUIRE(whole != nullptr);
  gguf_context* first = gguf_init_empty();
  gguf_set_kv(first, whole);
  gguf_set_val_u32(first, "llama.block_count", static_cast<std::uint32_t>(n_layers));
  for (ggml_tensor* t = ggml_get_first_tensor(tensors); t != nullptr; t = ggml_get_next_tensor(tensors, t)) {
    if (gguf_find_tensor(whole, t->name) < 0) continue;  // the block that holds the bytes of all
    const std::string name = t->name;
    if (name.rfind("blk.", 0) == 0 && std::stoi(name.substr(4)) >= n_layers) continue;
    gguf_add_tensor(first, t);
  }
  const bool written = gguf_write_to_file(first, to.c_str(), false);
  gguf_free(first);
  gguf_free(whole);
  ggml_free(tensors);
  REQUIRE(written);
}

/// The f32 file with the first four layers of thirty, written once; it lives as long as the process. Empty, and the
/// test's output says why, without that file.
inline std::filesystem::path shallow_file() {
  struct Written {
    std::filesystem::path path;
    ~Written() {
      std::error_code ignored;
      if (!path.empty()) std::filesystem::remove(path, ignored);
    }
  };
  static Written written;
  const std::filesystem::path whole = gguf_file("f32");
  if (!written.path.empty()) return written.path;
  if (!std::filesystem::exists(whole)) {
    WARN("skipped: no model in " << whole.string());
    return {};
  }
  const auto own =
      std::filesystem::temp_directory_path() / ("anabranch_layers_" + std::to_string(::getpid()) + ".gguf");
  write_first_layers(whole, 4, own);
  return written.path = own;
}

/// The model of `shallow_file()`, loaded once, or nullptr: what a row sees decides its logits in every layer, and four
/// layers take a quarter of the time of all.
inline llama::GgufModel* shallow_model() {
  static std::optional<llama::GgufModel> loaded;
  const std::filesystem::path file = shallow_file();
  if (!loaded && !file.empty())
    loaded.emplace(llama::GgufModel::load(
        file, {.n_cells = 768, .n_seq_ids = 256, .n_threads = 1, .cells = llama::CellType::float32}));
  return loaded ? &*loaded : nullptr;
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
