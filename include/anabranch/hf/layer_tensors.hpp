// The names and shapes of the tensors in a model's folder: the one table for all that reads, trains or writes weights.
//
// It follows from the configuration alone (hf/config.hpp), so no file is opened to make it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <anabranch/hf/config.hpp>

namespace anabranch::hf {

/// A matrix of the model, and its bias where it has one.
struct MatrixSpec {
  std::string module;    ///< such as "model.layers.0.self_attn.q_proj"
  std::int32_t out = 0;  ///< rows
  std::int32_t in = 0;   ///< columns
  bool has_bias = false;

  std::string weight() const { return module + ".weight"; }  ///< name of the tensor [out, in]
  std::string bias() const { return module + ".bias"; }      ///< name of the tensor [out]
};

/// The factors of an RMSNorm.
struct NormSpec {
  std::string name;  ///< of the tensor [size]
  std::int32_t size = 0;
  float offset = 0.0f;  ///< is added to what is stored
};

/// One layer. Matrices that share an input stand together, in the order in which they are fused; where the folder has
/// them fused, they are one.
struct LayerSpec {
  NormSpec input_norm, ffn_norm;                               ///< before attention, before the feed-forward
  std::optional<NormSpec> query_norm, key_norm;                ///< of each head
  std::optional<NormSpec> post_attention_norm, post_ffn_norm;  ///< of what is added to the residual stream
  std::vector<MatrixSpec> qkv;                                 ///< q, k, v
  MatrixSpec out;
  std::vector<MatrixSpec> gate_up;  ///< gate, up
  MatrixSpec down;

  std::vector<const MatrixSpec*> matrices() const;  ///< all of them
  std::vector<const NormSpec*> norms() const;       ///< those that the layer has
};

/// Layer `index` of the model. Requires: index in [0, config.n_layers).
LayerSpec layer_spec(const ModelConfig& config, std::int32_t index);

inline constexpr const char* kEmbeddingModule = "model.embed_tokens";
inline constexpr const char* kHeadModule = "lm_head";

/// [vocabulary, hidden].
MatrixSpec embedding_spec(const ModelConfig& config);
/// [vocabulary, hidden]; the embedding itself where the model ties them.
MatrixSpec head_spec(const ModelConfig& config);
NormSpec final_norm_spec(const ModelConfig& config);

/// The shapes of all tensors by name, with a head of its own whether the model ties it or not.
std::map<std::string, std::vector<std::int64_t>, std::less<>> tensor_shapes(const ModelConfig& config);

}  // namespace anabranch::hf
