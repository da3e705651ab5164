// A low-rank adapter (LoRA) in the layout of Python's `peft`: adapter_config.json and adapter_model.safetensors.
//
// An adapter changes a model in three ways: W becomes W + scale * B A for some of its matrices, whose rows may get
// lengths of their own (DoRA); the embeddings of a few tokens (the markup's tags) are replaced; whole tensors are
// replaced. Everything that `peft` could mean by a configuration and that is not one of these is refused by name, never
// ignored. An adapter for branches has an anabranch.json beside it (hf/markup_settings.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/dtype.hpp>
#include <anabranch/hf/safetensors.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf {

/// The two factors of one matrix's change; both row-major, float32. The embedding's, which `peft` stores transposed,
/// are those of its matrix [vocabulary, hidden].
struct LoraPair {
  std::int32_t in = 0, out = 0;       ///< of the matrix W [out, in]
  std::vector<float> a;               ///< [rank, in]
  std::vector<float> b;               ///< [out, rank]
  std::optional<float> alpha;         ///< of this matrix alone; none: the adapter's
  std::vector<float> magnitude = {};  ///< DoRA: the lengths of W's rows [out], of the embedding's columns [in]
  std::vector<float> bias = {};       ///< of B [out], `lora_bias`; it is scaled and added to the layer's bias

  std::int32_t rank() const noexcept { return in > 0 ? static_cast<std::int32_t>(a.size()) / in : 0; }
};

/// New embeddings of some tokens. They replace rows; nothing is added to what was there.
struct TokenRows {
  std::vector<TokenId> ids;
  std::vector<float> rows;  ///< [ids.size(), hidden], row-major

  bool empty() const noexcept { return ids.empty(); }
};

/// The factor of B A.
enum class LoraScale : std::uint8_t {
  by_rank,  ///< alpha / rank
  by_root,  ///< alpha / sqrt(rank): `use_rslora`
};

/// The kind of an adapter, as its configuration states it.
struct AdapterKind {
  bool dora = false;
  bool factor_bias = false;  ///< `lora_bias`
  bool tied = false;         ///< `ensure_weight_tying`: what the embedding gets, a tied head gets too
  std::string bias = "none";
  std::vector<std::string> modules_to_save;  ///< ends of module paths
  std::string module_by_tying;               ///< has factors for `tied` alone; empty: none
};

/// A whole tensor. It stays in the adapter's file until its rows are read.
struct SavedTensor {
  Tensor tensor;
  std::string stored_as;  ///< its name in the file, without the beginning that all names share
  bool is_copy = false;   ///< of the model's own, which it must equal
};

/// Whole tensors, by the name of the model's tensor that they stand for.
struct SavedTensors {
  std::shared_ptr<const Weights> file;                     ///< holds their bytes
  std::map<std::string, SavedTensor, std::less<>> active;  ///< replace it: `modules_to_save`
  std::map<std::string, SavedTensor, std::less<>> base;    ///< replace it before anything is added to it

  const Tensor* find_active(std::string_view name) const;  ///< nullptr: none
  const Tensor* find_base(std::string_view name) const;
};

struct Adapter {
  std::int32_t rank = 0;  ///< of most pairs; each has its own
  float alpha = 0;
  LoraScale scale = LoraScale::by_rank;
  std::string base_model;                   ///< name or path of the model it was trained on; may be empty
  std::vector<std::string> target_modules;  ///< ends of module paths ("q_proj"); empty: exactly those of `modules`
  std::map<std::string, LoraPair, std::less<>> modules;  ///< by module path, such as model.layers.0.self_attn.q_proj
  TokenRows tokens;       ///< of the embedding; of the head too where the configuration ties it and it has none
  TokenRows head_tokens;  ///< of the head
  AdapterKind kind = {};
  SavedTensors saved = {};

  /// Reads a folder. Throws `bad_file` (missing or damaged: file, key or tensor, expected, found) or `unsupported` (the
  /// key of what is not there).
  static Adapter load(const std::filesystem::path& folder);
  /// Writes both files into a folder, which is made if needed; `dtype` is f32 or bf16. Each file is written whole or
  /// not at all. Throws bad_argument (sizes that do not fit, a module outside target_modules) or bad_file.
  void save(const std::filesystem::path& folder, Dtype dtype) const;

  /// Rows of the embedding with the adapter: the model's, or those of a vocabulary that was changed in size.
  std::int32_t vocabulary(const ModelConfig& config) const;
  /// Throws bad_file or unsupported, starting with `where`, unless every module and tensor is one of the model's, with
  /// its sizes, every token has a row, and nothing is changed in two ways at once.
  void require_fit(const ModelConfig& config, const std::string& where) const;
  /// Changes one tensor of the model in place, by its name in the model's files: a matrix gets scale * B A added, the
  /// embedding or the head its new rows. Tensors that the adapter does not touch stay, and so do those that it saves
  /// whole. The columns of an embedding with a magnitude are left to `ModelWeights`, which knows their lengths.
  /// REQUIRES: require_fit. Cost: rank * elements.
  void merge_into(std::string_view tensor, std::span<float> values) const { merge_into(tensor, values, 0); }
  /// The same for some whole rows of it, beginning with row `first`.
  void merge_into(std::string_view tensor, std::span<float> values, std::int32_t first) const;
  /// Whether merge_into changes anything of this tensor.
  bool changes(std::string_view tensor) const;
  /// alpha / rank of a pair, or what `scale` says.
  float scale_of(const LoraPair& pair) const noexcept;
};

/// The matrices of a model that an adapter can change: all linear layers, the head only where it is not tied. Module
/// path -> {out, in}.
struct MatrixShape {
  std::int32_t out = 0, in = 0;
};
std::map<std::string, MatrixShape, std::less<>> linear_modules(const ModelConfig& config);

}  // namespace anabranch::hf
