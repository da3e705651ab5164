// A model runner on LibTorch: a Hugging Face folder in, step plans through it, logits out.
//
// It satisfies the decoder's Model concept. K/V tensors are addressed by slot, so forks and joins move no K or V.
// Attention is anabranch::attention, which reads the keys that several rows share once for all of them; products are
// LibTorch's (float32, bfloat16) or anabranch::linear's (int8). With int8 weights a row's logits are the same, bit for
// bit, whatever other rows are in the pass. No torch header is needed to use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/cache/kv_bytes.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/decode/row_costs.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/generation_config.hpp>
#include <anabranch/hf/model_text.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/load_options.hpp>

namespace anabranch::torch {

/// The passes to be measured: every number of rows over every number of keys.
struct RowCostOptions {
  std::vector<std::int32_t> rows = {1, 2, 4, 6, 8, 12, 16, 24, 32};
  std::vector<std::int32_t> keys = {128, 1024};
  std::int32_t repeats = 5;  ///< the best counts
};

/// The time of all passes, in seconds.
struct PassTimes {
  double total = 0;
  double products = 0;   ///< weight products, with the rounding of their inputs
  double attention = 0;  ///< K and V written and read, and the plan cut for it
  double exchange = 0;   ///< with other ranks: waiting for them, and passing bytes
};

class CausalLm {
 public:
  /// Reads config.json and the safetensors of `folder`, or of the model of this name in the hub cache
  /// (hf/hub_cache.hpp: "Qwen/Qwen2.5-0.5B-Instruct"), or the prepared weights that an earlier load has kept
  /// (LoadOptions::weight_cache): the logits are the same, bit for bit. Throws bad_file (missing, damaged, tensor
  /// absent or of the wrong shape, an adapter of another model), unsupported (another architecture, another kind of
  /// adapter), bad_argument (options) or, before weights are read, out_of_memory (more is needed than
  /// LoadOptions::memory_limit).
  static CausalLm load(const std::filesystem::path& folder, const LoadOptions& options = {});
  /// Tells what memory `load` with these options would take, from config.json and the headers of the safetensors alone.
  /// For `automatic` the type that was the fastest here before, else int8. Throws as `load` does, but never
  /// out_of_memory.
  static MemoryEstimate estimate(const std::filesystem::path& folder, const LoadOptions& options = {});

  CausalLm(CausalLm&&) noexcept;
  CausalLm& operator=(CausalLm&&) noexcept;
  ~CausalLm();

  /// A runner over the same weights with empty K/V tensors of its own, for a second cache.
  CausalLm with_own_slots() const;

  /// Runs one forward pass: writes K and V of all rows and returns the float32 logits [n_outputs, vocabulary] of the
  /// outputs, valid until the next call. Throws bad_argument (a token that is unknown or outside the vocabulary, a slot
  /// outside the pool, groups and views that GroupCheck refuses) or out_of_range (position), and has then written
  /// nothing. With ranks, also wrong_state on a rank other than 0, and what their operations throw.
  LogitsView operator()(const StepPlan& plan);

  /// For ranks other than 0: computes this rank's part of the passes of all runners over rank 0's model, until the last
  /// of them is gone. Throws wrong_state on rank 0 and without ranks, and what passes and the ranks' operations throw
  /// (collective.hpp): rank 0 sends nothing while it waits for its user, and may not do so for longer than their limit.
  void follow();

  /// Times decoding passes of this model on this machine: one token of each branch over a shared trunk, logits for all.
  /// Takes about a second for a model of 135 million weights, needs K/V tensors of its own for the largest case, and
  /// leaves this runner as it is. For DecoderOptions::row_costs. Throws bad_argument.
  RowCosts measure_row_costs(const RowCostOptions& options = {}) const;

  /// Makes room for `n_slots` slots and keeps K and V. Never shrinks.
  void reserve(std::int32_t n_slots);
  /// K and V of slots as bytes, for files of a prefix cache (cache/prefix_file.hpp). `name` says which model and
  /// adapter this is; types and sizes are added to it. Valid until this runner goes; it may be moved. The callbacks
  /// throw bad_argument for slots or sizes that are not there; writing makes room for more slots as `reserve` does.
  /// Throws unsupported with several ranks, each of which has a part of K and V.
  KvBytes kv_bytes(const std::string& name);
  /// Throws bad_argument for a LibTorch path over K and V in int8.
  void set_attention(AttentionPath path);

  const hf::ModelConfig& config() const noexcept;
  /// Tokenizer, chat template and markup settings of the folder, read at the first call; an adapter's own markup
  /// settings come first. Throws bad_file, unsupported.
  const hf::ModelText& text() const;
  /// The folder's sampling settings, read at the first call. Throws bad_file, unsupported.
  const hf::GenerationConfig& generation() const;
  /// Every token that ends an answer: those that config.json, generation_config.json and tokenizer_config.json name,
  /// and what the chat template closes a turn with. Reads the text side, as text() does.
  const std::vector<TokenId>& end_of_text() const;
  Weights weights() const noexcept;  ///< never `automatic`
  attention::Element kv() const noexcept;
  AttentionPath attention() const noexcept;
  std::int32_t max_rows() const noexcept;
  std::int32_t n_threads() const noexcept;  ///< that passes run on now, LibTorch's for the whole process
  std::int32_t n_slots() const noexcept;
  std::int64_t n_passes() const noexcept;
  const PassTimes& times() const noexcept;     ///< of all passes since load
  std::int64_t weight_bytes() const noexcept;  ///< read by a pass with outputs; the looked-up embedding not counted

 private:
  struct Impl;
  explicit CausalLm(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::torch
