// Loads a GGUF file: llama.cpp's model and a context with a unified KV cache, which are freed together.
//
// It serves callers who have no context yet; the host (llama/host.hpp) takes any context.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include <anabranch/llama/vocabulary.hpp>

struct llama_context;
struct llama_model;

namespace anabranch::llama {

/// How much llama.cpp may print; it holds for the whole process.
enum class Messages : std::uint8_t {
  none,  ///< nothing: errors are thrown
  keep,  ///< as the process has set it; llama.cpp prints a lot by default
};

/// Element type of K and V.
enum class CellType : std::uint8_t { float16, float32 };

struct GgufOptions {
  std::int32_t n_cells = 4096;   ///< tokens in the KV cache, of all seq_ids together; at least n_seq_ids
  std::int32_t n_seq_ids = 128;  ///< at most 256
  std::int32_t max_rows = 512;   ///< of one llama_decode; at least n_seq_ids
  std::int32_t n_threads = 0;    ///< at most 512; 0: one per processor core that this process may use
  CellType cells = CellType::float16;
  Messages messages = Messages::none;
};

class GgufModel {
 public:
  /// Throws bad_argument (options), bad_file (no such file, or not a GGUF model) or out_of_memory (no context).
  static GgufModel load(const std::filesystem::path& file, const GgufOptions& options = {});

  /// Makes a further context over the same weights, with a KV cache of its own. Throws out_of_memory.
  GgufModel with_own_cells() const;

  llama_context* context() const noexcept { return context_.get(); }
  const llama_model* model() const noexcept { return model_.get(); }
  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  const GgufOptions& options() const noexcept { return options_; }

 private:
  struct FreeContext {
    void operator()(llama_context* context) const noexcept;
  };
  GgufModel(std::shared_ptr<llama_model> model, const GgufOptions& options);

  std::shared_ptr<llama_model> model_;
  std::unique_ptr<llama_context, FreeContext> context_;
  Vocabulary vocabulary_;
  GgufOptions options_;
};

}  // namespace anabranch::llama
