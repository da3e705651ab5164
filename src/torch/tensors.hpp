// The weights of a model in the runner's type. Projections that share an input are fused into one matrix. Sizes below
// are those of the whole model; a shard has its part of the rows, or of the columns (shard.hpp).
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/hf/config.hpp>
#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/linear/weight_memory.hpp>
#include <anabranch/torch/load_options.hpp>
#include <anabranch/types.hpp>

#include "projection.hpp"
#include "shard.hpp"
#include "weight_reader.hpp"

namespace anabranch::torch {

struct LayerTensors {
  at::Tensor input_norm, ffn_norm;                ///< [hidden], float32
  at::Tensor query_norm, key_norm;                ///< [head_dim], float32; undefined without q/k norm
  at::Tensor post_attention_norm, post_ffn_norm;  ///< [hidden], float32; undefined without
  Projection qkv;                                 ///< [q_width + 2 kv_width, hidden]: q, k, v one after the other
  Projection out;                                 ///< [hidden, q_width]
  Projection gate_up;                             ///< [ffn, hidden] each, gated by the model's activation
  Projection down;                                ///< [hidden, ffn]
};

struct ModelTensors {
  std::unique_ptr<linear::WeightMemory> memory;  ///< holds int8 weights, and outlives them
  at::Tensor embedding;                          ///< [vocabulary, hidden]; undefined when the head's int8 rows serve
  std::vector<LayerTensors> layers;
  at::Tensor final_norm;  ///< [hidden], float32
  Projection head;        ///< [vocabulary, hidden]
};

/// Whether the embedding is a tensor of its own; else the head's int8 rows serve.
inline bool has_table(const hf::ModelConfig& config, Weights weights) noexcept {
  return !config.tied_embeddings || weights != Weights::int8;
}

/// Reads the shard's tensors in the configuration that they have; `weights` is not automatic. Throws bad_file (absent,
/// damaged, other shape) or unsupported (element type).
ModelTensors load_tensors(const hf::ModelWeights& source, Weights weights, const Shard& shard, LoadReport& report);
LayerTensors load_layer(WeightReader& reader, const hf::ModelConfig& config, const Shard& shard, std::int32_t index);

/// The activation in the words of the products.
inline Activation activation_of(const hf::ModelConfig& config) noexcept {
  return config.activation == hf::Activation::gelu_tanh ? Activation::gelu_tanh : Activation::silu;
}

/// out[r] = the embedding of token r, in the model's scale: [n_rows, hidden], float32. `rows` are those of the table
/// that `model` has; the embedding of another token is 0.
void embed(const ModelTensors& model, const hf::ModelConfig& config, const Range& rows, std::span<const TokenId> tokens,
           float* out);

}  // namespace anabranch::torch
