// How a model is loaded: the types of its weights and of K and V, where prepared weights are kept, what is reported
// while it loads, and what memory it may take. No torch header is needed to use it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/collective.hpp>
#include <anabranch/thread_count.hpp>

namespace anabranch::torch {

/// The type in which the big matrices are kept and multiplied. Everything between products is float32.
enum class Weights : std::uint8_t {
  automatic,  ///< the fastest on this CPU, found by a quick measurement of one layer; a clear result is kept with the
              ///< weights, without one it is int8 where the CPU has instructions for it
  float32,
  bfloat16,  ///< half the bytes per pass; logits have 8 significant bits. Slow where the CPU lacks it
  int8,      ///< a quarter of the bytes: 8 bits and a scale per output channel, inputs rounded to 8 bits by 32 of them,
             ///< without VNNI to 14 bits a row
};

constexpr const char* weights_name(Weights weights) noexcept {
  switch (weights) {
    case Weights::automatic: return "automatic";
    case Weights::float32: return "float32";
    case Weights::bfloat16: return "bfloat16";
    case Weights::int8: return "int8";
  }
  return "unknown";
}

enum class AttentionPath : std::uint8_t {
  native,  ///< anabranch::attention
  groups,  ///< LibTorch, call by call for keys that rows share, merged by log-sum-exp: a reference without our kernels
  dense,   ///< LibTorch, all visible slots gathered, one dense mask: the slow reference
};

/// Where prepared weights are kept from load to load: int8 matrices in the form that the kernels read, with the adapter
/// merged. A kept file is taken only when it was made of the same files (path, size, time, hash), for this kernel form,
/// by this version, and its checksum is right; else it is made anew. A folder that cannot be written is no error.
struct WeightCacheOptions {
  bool enabled = true;
  /// Empty: the folder that the environment variable ANABRANCH_WEIGHT_CACHE names (`off`: nothing is kept), else
  /// `weights` in the folder that ANABRANCH_CACHE names, in $XDG_CACHE_HOME/anabranch or in ~/.cache/anabranch.
  /// Whoever may write there decides what the model says.
  std::filesystem::path folder = {};
  std::int64_t min_bytes = std::int64_t{4} << 20;  ///< smaller models are not kept: they are prepared in no time
};

/// How far a load is. The stages of a first load take turns, part by part of the files.
struct LoadProgress {
  /// "measures", "reads", "merges the adapter", "packs", "keeps" and, of weights that were kept, "maps"; last "ready".
  std::string_view stage;
  std::int64_t done = 0, total = 0;  ///< bytes of weights; total is 0 while it is not known

  double fraction() const noexcept { return total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0.0; }
};

struct LoadOptions {
  Weights weights = Weights::automatic;
  AttentionPath attention = AttentionPath::native;
  /// Element type of K and V; none: float32 with float32 weights, else bfloat16. The LibTorch paths take all but int8.
  std::optional<attention::Element> kv = {};
  std::int32_t n_slots = 0;  ///< slots to make room for at once; a plan over a larger pool makes the K/V tensors grow
  std::int32_t max_rows = 256;  ///< hint for whoever feeds prompts: the best number of rows of one prefill chunk
  /// Threads of LibTorch, for the whole process; 0 leaves their number as it is, but not above what the process may
  /// use: its processors, and the quota of its control groups.
  std::int32_t n_threads = 0;
  /// With int8 weights, how many of them a pass uses. The text does not depend on it.
  ThreadUse thread_use = ThreadUse::adaptive;
  /// Positions that texts may have; none: those of the model. With `longrope` these are the ones of its short factors,
  /// and more of them, up to max_position_embeddings, choose the long factors for all texts.
  std::optional<std::int32_t> max_positions = {};
  /// Folder of a LoRA adapter (hf/adapter.hpp). It is merged into the weights in float32, before they are rounded to
  /// their type: a pass costs what it costs without.
  std::optional<std::filesystem::path> adapter = {};
  WeightCacheOptions weight_cache = {};
  /// Called by the loading thread at the beginning of each stage of each part; last with stage "ready" and done ==
  /// total. What it throws ends the load.
  std::function<void(const LoadProgress&)> on_progress = {};
  /// Gets one line, without its end, for each thing that a user may want to know: which type was the fastest, that kept
  /// weights were taken, made anew and why, or could not be kept. The library itself prints nothing.
  std::function<void(std::string_view line)> log = {};
  /// Other processes that compute parts of the same model (docs/scaling.md); null: this process alone. All ranks load
  /// the same model with the same options, else `load` throws bad_argument on all of them. Rank 0 is used like any
  /// other model; the others call CausalLm::follow. Must outlive the model and all runners over it. All of them
  /// together are for one thread at a time. Weights are not kept from load to load.
  Collective* ranks = nullptr;
  /// How long a rank waits for the slowest one's load.
  std::chrono::milliseconds load_limit = std::chrono::minutes(10);
  /// A model that needs more bytes is refused; none: more than the machine and the process's control group have free.
  std::optional<std::int64_t> memory_limit = {};
};

/// The memory that a model will take, in bytes, beside LibTorch itself and the tokenizer.
struct MemoryEstimate {
  std::int64_t weights = 0;
  std::int64_t kv = 0;       ///< K and V of LoadOptions::n_slots slots; the system gives it as slots are written
  std::int64_t scratch = 0;  ///< buffers of a pass of LoadOptions::max_rows rows, up to 16 of them with logits

  std::int64_t total() const noexcept { return weights + kv + scratch; }
};

}  // namespace anabranch::torch
