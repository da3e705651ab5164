// A model folder's description of its model: `config.json` (and `generation_config.json`) of the Llama, Qwen2 and Qwen3
// architectures.
//
// Only what this library can run is read into numbers; everything else that would change the result (sliding windows,
// other rope scalings, other activations) is refused by name, never ignored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/hf/dtype.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf {

/// The model shapes that can be read. All are pre-norm decoders with RMSNorm, grouped-query attention, rotary positions
/// (first half / second half pairing) and a SiLU-gated feed-forward; they differ in biases and in q/k norms.
enum class Architecture : std::uint8_t { llama, qwen2, qwen3 };

/// Name as `config.json` writes it, such as "LlamaForCausalLM".
const char* architecture_name(Architecture architecture) noexcept;

/// How the rotary frequencies are stretched for long contexts.
enum class RopeScaling : std::uint8_t { none, llama3 };

/// Rotary embedding. The last four numbers mean something for `llama3` only.
struct RopeConfig {
  double theta = 10000.0;  ///< base of the wavelengths
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                  ///< long wavelengths are stretched by this
  double low_freq_factor = 1.0;         ///< wavelengths above original_max_positions / this are stretched whole
  double high_freq_factor = 4.0;        ///< wavelengths below original_max_positions / this stay
  Position original_max_positions = 0;  ///< context length before stretching
};

/// Angle per position of each rotary pair, radians, [head_dim / 2]: pair i turns by position * result[i].
/// Formula: transformers `modeling_rope_utils.py`, `default` and `llama3`. Requires an even `head_dim` > 0.
std::vector<double> rope_inverse_frequencies(const RopeConfig& rope, std::int32_t head_dim);

/// How a folder's matrices are stored, where not as F32, F16 or BF16. They are turned into floats when they are read.
struct StoredQuantisation {
  /// 8-bit floats with scales; 4-bit integers in groups of columns, as GPTQ and as AWQ pack them.
  enum class Kind : std::uint8_t { fp8, gptq, awq };
  Kind kind = Kind::fp8;
  std::string scale = {};                          ///< fp8: end of the scales' names
  std::int32_t block_rows = 0, block_columns = 0;  ///< fp8: that share a scale; 0: one scale, or one for each row
  std::int32_t group = 0;                          ///< integers: columns that share scale and zero point; 0: all
  bool zeros_less_one = false;                     ///< integers: zero points are stored less one
};

struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::int32_t vocabulary = 0;  ///< rows of the embedding; may be more than the tokenizer has tokens
  std::int32_t hidden = 0;      ///< width of the residual stream
  std::int32_t n_layers = 0;
  std::int32_t n_heads = 0;     ///< query heads
  std::int32_t n_kv_heads = 0;  ///< divides n_heads
  std::int32_t head_dim = 0;    ///< even; n_heads * head_dim need not be `hidden`
  std::int32_t ffn = 0;         ///< width of the feed-forward
  Position max_positions = 0;
  double rms_eps = 0;
  RopeConfig rope;
  bool tied_embeddings = false;  ///< the output projection is the embedding
  bool qkv_bias = false;         ///< q_proj, k_proj and v_proj have a bias
  bool o_bias = false;           ///< o_proj has a bias
  bool qk_norm = false;          ///< RMSNorm over each head of q and k before the rotation
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;    ///< tokens that end an answer: those of config.json and of generation_config.json
  std::optional<Dtype> dtype;  ///< what the file says the weights are kept in
  std::optional<StoredQuantisation> quantisation;

  std::int32_t q_width() const noexcept { return n_heads * head_dim; }
  std::int32_t kv_width() const noexcept { return n_kv_heads * head_dim; }

  /// Reads `folder/config.json` and, if it is there, `folder/generation_config.json`.
  /// Throws `bad_file` (file, key, expected, found) or `unsupported` (what the model wants that is not there).
  static ModelConfig load(const std::filesystem::path& folder);
};

/// Adds those that are not there yet, behind the others.
void add_tokens(std::vector<TokenId>& tokens, std::span<const TokenId> more);

}  // namespace anabranch::hf
