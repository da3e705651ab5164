// A low-rank adapter (LoRA) in the layout of Python's `peft`: adapter_config.json and adapter_model.safetensors.
//
// An adapter changes a model in two ways: W becomes W + scale * B A for some of its matrices, and the embeddings of a
// few tokens (the markup's tags) are replaced. Everything that `peft` could mean by a configuration and that is not
// one of these is refused by name, never ignored. An adapter for branches has an anabranch.json beside it
// (hf/markup_settings.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/dtype.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf {

/// The two factors of one matrix's change; both row-major, float32.
struct LoraPair {
  std::int32_t in = 0, out = 0;  ///< of the matrix W [out, in]
  std::vector<float> a;          ///< [rank, in]
  std::vector<float> b;          ///< [out, rank]
  std::optional<float> alpha;    ///< of this matrix alone; none: the adapter's

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

struct Adapter {
  std::int32_t rank = 0;  ///< of most pairs; each has its own
  float alpha = 0;
  LoraScale scale = LoraScale::by_rank;
  std::string base_model;                   ///< name or path of the model it was trained on; may be empty
  std::vector<std::string> target_modules;  ///< ends of module paths ("q_proj"); empty: exactly those of `modules`
  std::map<std::string, LoraPair, std::less<>> modules;  ///< by module path, such as model.layers.0.self_attn.q_proj
  TokenRows tokens;       ///< of the embedding; of the head too where it is tied to the embedding
  TokenRows head_tokens;  ///< of a head of its own

  /// Reads a folder. Throws `bad_file` (missing or damaged: file, key or tensor, expected, found) or `unsupported` (the
  /// key of what is not there).
  static Adapter load(const std::filesystem::path& folder);
  /// Writes both files into a folder, which is made if needed; `dtype` is f32 or bf16. Each file is written whole or
  /// not at all. Throws bad_argument (sizes that do not fit, a module outside target_modules) or bad_file.
  void save(const std::filesystem::path& folder, Dtype dtype) const;

  /// Throws bad_file, starting with `where`, unless every module is one of the model's, with its sizes, and every token
  /// has a row.
  void require_fit(const ModelConfig& config, const std::string& where) const;
  /// Changes one tensor of the model in place, by its name in the model's files: a matrix gets scale * B A added, the
  /// embedding (or a head of its own) its new rows. Tensors that the adapter does not touch stay. REQUIRES:
  /// require_fit. Cost: rank * elements.
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
