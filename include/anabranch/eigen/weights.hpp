// Weights of a tiny decoder-only transformer in double precision: the Llama shape, and what Qwen, Mistral, Phi-3,
// Gemma, SmolLM3 and Granite do otherwise as options.
//
// Random weights are rounded to float32, so that a float32 runner can load exactly the same model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <anabranch/error.hpp>
#include <anabranch/types.hpp>

namespace anabranch::eigen {

/// Row-major, so that a row is one token and a weight has PyTorch's [out, in] layout.
using Matrix = ::Eigen::Matrix<double, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;
using Vector = ::Eigen::VectorXd;

/// The gate of the feed-forward: x / (1 + e^-x), or x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
enum class Activation : std::uint8_t { silu, gelu_tanh };

/// Sizes and switches; the names in config.json are given where they differ.
struct Shape {
  std::int32_t vocabulary = 64;
  std::int32_t hidden = 32;
  std::int32_t layers = 2;
  std::int32_t query_heads = 4;
  std::int32_t kv_heads = 2;      ///< num_key_value_heads; divides query_heads
  std::int32_t head_size = 8;     ///< head_dim; even
  std::int32_t ffn = 48;          ///< intermediate_size
  Position max_positions = 4096;  ///< max_position_embeddings
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-5;
  bool qkv_bias = false;   ///< Qwen2
  bool qk_norm = false;    ///< Qwen3: RMSNorm of each head of q and k before RoPE
  bool tied_head = false;  ///< the output head is the embedding
  double query_scale = 0;  ///< factor of the scores; 0: 1 / sqrt(head_size)
  double softcap = 0;      ///< c: a score s becomes c * tanh(s / c); 0: it stays
  /// Of layer l windows[l % size]: W where a token at position q sees keys above q - W only; 0: all. Empty: all see
  /// all.
  std::vector<std::int32_t> windows = {};
  double window_rope_theta = 0;    ///< of layers with a window; 0: rope_theta. Gemma 3
  double rotary_share = 1;         ///< the part of each head, from its first element on, that turns. Phi-3
  bool fused_matrices = false;     ///< q, k, v are one tensor in a checkpoint, gate and up too. Phi-3
  bool post_norms = false;         ///< RMSNorm behind attention and behind the feed-forward too. Gemma 2 and 3
  double norm_offset = 0;          ///< is added to the weights of all norms. Gemma: 1
  double embedding_scale = 1;      ///< factor of the embeddings. Gemma: sqrt(hidden), rounded to float32
  double logit_softcap = 0;        ///< as `softcap`, for the logits. Gemma 2
  std::int32_t turn_interval = 0;  ///< no_rope_layer_interval: each n-th layer's heads do not turn; 0: all do. SmolLM3
  double residual_scale = 1;       ///< residual_multiplier, of what attention and feed-forward add. Granite
  double logit_divisor = 1;        ///< logits_scaling. Granite
  Activation activation = Activation::silu;
};

struct LayerWeights {
  Vector input_norm;                        ///< [hidden]
  Matrix query, key, value;                 ///< [heads * head_size, hidden]
  Vector query_bias, key_bias, value_bias;  ///< [heads * head_size]; empty without qkv_bias
  Vector query_norm, key_norm;              ///< [head_size]; empty without qk_norm
  Matrix out;                               ///< [hidden, query_heads * head_size]
  Vector post_attention_norm;               ///< [hidden]; empty without post_norms
  Vector ffn_norm, post_ffn_norm;           ///< [hidden]; the second is empty without post_norms
  Matrix gate, up;                          ///< [ffn, hidden]
  Matrix down;                              ///< [hidden, ffn]
};

struct Weights {
  Shape shape;
  Matrix embedding;  ///< [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Vector final_norm;  ///< [hidden]
  Matrix head;        ///< [vocabulary, hidden]; empty with tied_head
  const Matrix& output_head() const noexcept { return shape.tied_head ? embedding : head; }
};

/// Throws bad_argument when the sizes do not fit together.
inline void check_shape(const Shape& s) {
  const auto require = [](bool holds, const char* what, std::int64_t value, const char* limit) {
    if (!holds) fail(Status::bad_argument, what, " is ", value, ", must be ", limit);
  };
  require(s.vocabulary > 0, "vocabulary", s.vocabulary, "positive");
  require(s.hidden > 0, "hidden", s.hidden, "positive");
  require(s.layers > 0, "layers", s.layers, "positive");
  require(s.ffn > 0, "ffn", s.ffn, "positive");
  require(s.kv_heads > 0, "kv_heads", s.kv_heads, "positive");
  require(s.query_heads > 0 && s.query_heads % s.kv_heads == 0, "query_heads", s.query_heads, "a multiple of kv_heads");
  require(s.head_size > 0 && s.head_size % 2 == 0, "head_size", s.head_size, "positive and even");
  require(s.max_positions > 0, "max_positions", s.max_positions, "positive");
  if (!(s.query_scale >= 0)) fail(Status::bad_argument, "query_scale is ", s.query_scale, ", must be 0 or more");
  if (!(s.softcap >= 0)) fail(Status::bad_argument, "softcap is ", s.softcap, ", must be 0 or more");
  if (!(s.logit_softcap >= 0)) fail(Status::bad_argument, "logit_softcap is ", s.logit_softcap, ", must be 0 or more");
  if (!(s.rotary_share > 0 && s.rotary_share <= 1))
    fail(Status::bad_argument, "rotary_share is ", s.rotary_share, ", must be above 0 and at most 1");
  require(s.turn_interval >= 0, "turn_interval", s.turn_interval, "0 (all layers turn) or more");
  if (!(s.logit_divisor > 0)) fail(Status::bad_argument, "logit_divisor is ", s.logit_divisor, ", must be above 0");
  for (const std::int32_t window : s.windows) require(window >= 0, "a window", window, "0 (none) or more");
}

/// The same weights for the same seed on every machine. Throws bad_argument when the sizes do not fit together.
inline Weights random_weights(const Shape& shape, std::uint64_t seed);

}  // namespace anabranch::eigen

#include <anabranch/eigen/impl/random_weights.hpp>
