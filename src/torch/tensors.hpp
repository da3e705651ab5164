// The weights of a model as LibTorch tensors, products that share an input fused into one matrix.
#pragma once

#include <filesystem>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/hf/config.hpp>

namespace anabranch::torch {

/// y = x W^T + b. Where LibTorch has oneDNN the weight is kept in its blocked layout, whose products cost nearly the
/// same for 1 and for 8 rows; elsewhere as it is.
class Linear {
 public:
  Linear() = default;
  /// weight: [out, in], float32 or bfloat16; bias: [out], same type, or undefined.
  explicit Linear(at::Tensor weight, at::Tensor bias = {});
  /// x: [n_rows, in], n_rows > 0, any float type; the result has the weight's type.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor weight_;  ///< opaque when packed_
  at::Tensor bias_;
  at::ScalarType type_ = at::kFloat;
  bool packed_ = false;
};

struct LayerTensors {
  at::Tensor input_norm, ffn_norm;  ///< [hidden], float32
  at::Tensor query_norm, key_norm;  ///< [head_dim], float32; undefined without q/k norm
  Linear qkv;                       ///< [q_width + 2 kv_width, hidden]: q, k, v one after the other
  Linear out;                       ///< [hidden, q_width]
  Linear gate_up;                   ///< [2 ffn, hidden]: gate, then up
  Linear down;                      ///< [hidden, ffn]
};

struct ModelTensors {
  at::Tensor embedding;  ///< [vocabulary, hidden]
  std::vector<LayerTensors> layers;
  at::Tensor final_norm;  ///< [hidden], float32
  Linear head;            ///< [vocabulary, hidden]
};

/// Reads the folder's safetensors. Throws bad_file (absent, damaged, other shape) or unsupported (element type).
ModelTensors load_tensors(const std::filesystem::path& folder, const hf::ModelConfig& config, at::ScalarType type);

}  // namespace anabranch::torch
