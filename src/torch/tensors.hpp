// The weights of a model as LibTorch tensors, products that share an input fused into one matrix.
#pragma once

#include <filesystem>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/hf/config.hpp>

namespace anabranch::torch {

/// y = x W^T + b.
struct Linear {
  at::Tensor weight;  ///< [out, in], float32 or bfloat16
  at::Tensor bias;    ///< [out], same type; undefined without bias
  /// x: [n_rows, in], any float type; the result has the weight's type. n_rows may be 0.
  at::Tensor operator()(const at::Tensor& x) const;
};

struct LayerTensors {
  at::Tensor input_norm, ffn_norm;   ///< [hidden], float32
  at::Tensor query_norm, key_norm;   ///< [head_dim], float32; undefined without q/k norm
  Linear qkv;                        ///< [q_width + 2 kv_width, hidden]: q, k, v one after the other
  Linear out;                        ///< [hidden, q_width]
  Linear gate_up;                    ///< [2 ffn, hidden]: gate, then up
  Linear down;                       ///< [hidden, ffn]
};

struct ModelTensors {
  at::Tensor embedding;  ///< [vocabulary, hidden]
  std::vector<LayerTensors> layers;
  at::Tensor final_norm;  ///< [hidden], float32
  Linear head;            ///< [vocabulary, hidden]; shares the embedding's memory when tied
};

/// Reads the folder's safetensors. Throws bad_file (absent, damaged, other shape) or unsupported (element type).
ModelTensors load_tensors(const std::filesystem::path& folder, const hf::ModelConfig& config, at::ScalarType type);

}  // namespace anabranch::torch
