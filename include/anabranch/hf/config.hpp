// A model folder's description of its model: `config.json` (and `generation_config.json`).
//
// An architecture is data: sizes, and switches for what its layers do. Only what this library can run is read into
// them; everything else that would change the result is refused by name, never ignored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/hf/dtype.hpp>
#include <anabranch/hf/rope.hpp>
#include <anabranch/types.hpp>

namespace anabranch::hf {

/// The model shapes that can be read. All are decoders with RMSNorm, grouped-query attention, rotary positions (first
/// half / second half pairing) and a gated feed-forward; the switches of ModelConfig say what they differ in.
enum class Architecture : std::uint8_t { llama, qwen2, qwen3, mistral, phi3, gemma, gemma2, gemma3, smollm3, granite };

/// Name as `config.json` writes it, such as "LlamaForCausalLM".
const char* architecture_name(Architecture architecture) noexcept;

/// The function of the feed-forward's gate. `gelu_tanh` is GELU by its tanh formula.
enum class Activation : std::uint8_t { silu, gelu_tanh };

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
  bool text_part = false;       ///< of a model of pictures and text: Weights::take_text_part
  std::int32_t vocabulary = 0;  ///< rows of the embedding; may be more than the tokenizer has tokens
  std::int32_t hidden = 0;      ///< width of the residual stream
  std::int32_t n_layers = 0;
  std::int32_t n_heads = 0;     ///< query heads
  std::int32_t n_kv_heads = 0;  ///< divides n_heads
  std::int32_t head_dim = 0;    ///< even; n_heads * head_dim need not be `hidden`
  std::int32_t ffn = 0;         ///< width of the feed-forward
  /// Positions that a text may have. A model with `longrope` is read with those that its short factors serve.
  Position max_positions = 0;
  Position most_positions = 0;  ///< of the file
  double rms_eps = 0;
  RopeConfig rope;
  std::optional<RopeConfig> window_rope;  ///< of layers with a window, where they turn otherwise
  std::vector<bool> unturned;             ///< [n_layers] layers whose heads do not turn. Empty: all turn
  /// [n_layers] W of a layer in which a token at position q sees keys at positions above q - W only, 0: all. Empty: no
  /// layer has a window.
  std::vector<std::int32_t> windows;
  Activation activation = Activation::silu;
  bool tied_embeddings = false;  ///< the output projection is the embedding
  bool qkv_bias = false;         ///< the projections of q, k and v have a bias
  bool o_bias = false;           ///< o_proj has a bias
  bool mlp_bias = false;         ///< the feed-forward's matrices have a bias
  bool qk_norm = false;          ///< RMSNorm over each head of q and k before the rotation
  bool post_norms = false;       ///< RMSNorm also behind attention and behind the feed-forward, before they are added
  bool fused_matrices = false;   ///< q, k, v are stored as one matrix, gate and up too
  float norm_offset = 0.0f;      ///< is added to the factors of all norms that are stored
  float embedding_scale = 1.0f;  ///< factor of the embeddings
  double query_scale = 0;        ///< factor of the scores; 0: 1 / sqrt(head_dim)
  double score_softcap = 0;      ///< c: a score s becomes c * tanh(s / c); 0: it stays
  double logit_softcap = 0;      ///< the same for the logits
  float residual_scale = 1.0f;   ///< factor of what attention and feed-forward add
  float logit_divisor = 1.0f;    ///< logits are divided by it
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;    ///< tokens that end an answer: those of config.json and of generation_config.json
  std::optional<Dtype> dtype;  ///< what the file says the weights are kept in
  std::optional<StoredQuantisation> quantisation;

  std::int32_t q_width() const noexcept { return n_heads * head_dim; }
  std::int32_t kv_width() const noexcept { return n_kv_heads * head_dim; }
  /// Of one layer; 0: it has no window.
  std::int32_t window_of(std::size_t layer) const noexcept { return windows.empty() ? 0 : windows[layer]; }
  /// nullptr: its heads do not turn.
  const RopeConfig* rope_of(std::size_t layer) const noexcept {
    if (!unturned.empty() && unturned[layer]) return nullptr;
    return window_rope && window_of(layer) > 0 ? &*window_rope : &rope;
  }
  /// Whether what attention and feed-forward give is changed before it is added.
  bool adds_apart() const noexcept { return post_norms || residual_scale != 1.0f; }

  /// Sets max_positions, and chooses the factors of `longrope` by it: texts of more than original_max_positions tokens
  /// take the long ones from their first token on. Throws bad_argument for positions that the model does not have.
  void set_max_positions(Position n);

  /// Reads `folder/config.json` and, if it is there, `folder/generation_config.json`; or a GGUF file (hf/gguf.hpp).
  /// Throws `bad_file` (file, key, expected, found) or `unsupported` (what the model wants that is not there).
  static ModelConfig load(const std::filesystem::path& folder);
};

/// Adds those that are not there yet, behind the others.
void add_tokens(std::vector<TokenId>& tokens, std::span<const TokenId> more);

}  // namespace anabranch::hf
