// A model runner on LibTorch: a Hugging Face folder in, step plans through it, logits out.
//
// It satisfies the decoder's Model concept. K and V live in one slab per layer, addressed by slot, so nothing is ever
// moved when lines fork and join. Attention runs once per visibility group for all rows and heads of the group, and
// the partial results are merged by their log-sum-exp. No torch header is needed to use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include <anabranch/decode/model.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/model_text.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch::torch {

/// In what the big matrices are kept and multiplied. Norms, RoPE, attention, K and V are float32 always.
enum class Weights : std::uint8_t {
  automatic,  ///< bfloat16 where the CPU multiplies it natively (avx512_bf16 or amx_bf16), float32 elsewhere
  float32,
  bfloat16,  ///< half the bytes per pass; logits have 8 significant bits. Slow where the CPU lacks it
};

enum class AttentionPath : std::uint8_t {
  groups,  ///< one call per visibility group, merged by log-sum-exp
  dense,   ///< all visible slots gathered, one dense mask: the slow reference
};

struct LoadOptions {
  Weights weights = Weights::automatic;
  AttentionPath attention = AttentionPath::groups;
  std::int32_t n_slots = 0;     ///< slots to make room for at once; a plan over a larger pool makes the slabs grow
  std::int32_t max_rows = 256;  ///< hint for whoever feeds prompts: the best number of rows of one prefill chunk
  std::int32_t n_threads = 0;   ///< threads of LibTorch, of the whole process; 0 leaves what is set
};

class CausalLm {
 public:
  /// Reads config.json and the safetensors of `folder`. Throws bad_file (missing, damaged, tensor absent or of the
  /// wrong shape), unsupported (another architecture) or bad_argument (options).
  static CausalLm load(const std::filesystem::path& folder, const LoadOptions& options = {});

  CausalLm(CausalLm&&) noexcept;
  CausalLm& operator=(CausalLm&&) noexcept;
  ~CausalLm();

  /// A runner over the same weights with empty slabs of its own, for a second cache.
  CausalLm with_own_slots() const;

  /// One forward pass: writes K and V of all rows, returns float32 logits [n_outputs, vocabulary] of the outputs,
  /// valid until the next call. Throws bad_argument (token unknown or outside the vocabulary, slot outside the slabs,
  /// a row that sees nothing) or out_of_range (position) and has then written nothing.
  LogitsView operator()(const StepPlan& plan);

  /// Makes room for `n_slots` slots, keeping what is there. Never shrinks.
  void reserve(std::int32_t n_slots);
  void set_attention(AttentionPath path) noexcept;

  const hf::ModelConfig& config() const noexcept;
  /// Tokenizer, chat template and markup settings of the folder, read at the first call. Throws bad_file, unsupported.
  const hf::ModelText& text() const;
  Weights weights() const noexcept;  ///< what was chosen: never `automatic`
  AttentionPath attention() const noexcept;
  std::int32_t max_rows() const noexcept;
  std::int32_t n_slots() const noexcept;
  std::int64_t n_passes() const noexcept;

 private:
  struct Impl;
  explicit CausalLm(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::torch
