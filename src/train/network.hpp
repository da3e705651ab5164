// The tensors of a model that learns, and its forward pass.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/hf/config.hpp>
#include <anabranch/train/model.hpp>

#include "functions.hpp"

namespace anabranch::train {

/// Projections that share an input, with their names in the folder.
struct NamedLinear {
  std::vector<std::string> paths;  ///< one per part, such as "model.layers.0.self_attn.q_proj"
  Linear linear;
};

struct NetworkLayer {
  at::Tensor input_norm, ffn_norm;  ///< [hidden]
  at::Tensor query_norm, key_norm;  ///< [head_dim]; undefined without
  NamedLinear qkv, out, gate_up, down;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// The values of a float32 tensor; none of one that is undefined.
std::vector<float> copied(const at::Tensor& tensor);

/// Rows packed one after another.
struct PackedRows {
  std::vector<std::int64_t> lengths;
  at::Tensor tokens;                        ///< [n], int64
  at::Tensor cosines, sines;                ///< [n, 1, head_dim / 2]
  std::vector<at::Tensor> masks;            ///< per row: [1, 1, length, length] with 0 and -inf, or undefined: causal
  at::Tensor with_target;                   ///< [n_targets], int64: their places in the pass
  at::Tensor targets;                       ///< [n_targets], int64
  at::Tensor trained_places, trained_rows;  ///< int64: which places hold a trained row of the embedding, and which one
};

class Network {
 public:
  Network(const std::filesystem::path& folder, const hf::ModelConfig& config, const ModelOptions& options);

  /// Throws bad_argument for a token or position outside the model, or no rows.
  PackedRows pack(std::span<const TokenRow* const> rows) const;
  HeadLoss forward(const PackedRows& rows, double scale) const;

  /// Leaves with gradient, by a name of this library.
  const std::vector<NamedTensor>& parameters() const noexcept { return parameters_; }
  /// Puts trained rows into the head's copy of them.
  void refresh_head();

  std::vector<LoraModule> lora_modules() const;
  at::Tensor token_rows() const { return token_rows_; }  ///< undefined for none
  at::Tensor head_rows() const { return head_rows_; }    ///< undefined for none, or where the embedding is the head
  std::vector<ModelTensor> tensors() const;              ///< of full tuning

 private:
  void load_layers(const std::filesystem::path& folder);
  void load_embedding(const std::filesystem::path& folder);
  void add_adapters();
  void collect_parameters();
  std::vector<const NamedLinear*> linears() const;
  at::Tensor embed(const PackedRows& rows) const;
  at::Tensor attend(const at::Tensor& qkv, const PackedRows& rows) const;
  at::Tensor run_layer(const NetworkLayer& layer, const at::Tensor& x, const PackedRows& rows) const;
  bool full() const noexcept { return options_.tuning == Tuning::full; }

  hf::ModelConfig config_;
  ModelOptions options_;
  std::vector<double> frequencies_;
  at::Tensor embedding_;   ///< [vocabulary, hidden], float32; trained rows are not kept up to date in it
  at::Tensor final_norm_;  ///< [hidden]
  std::vector<NetworkLayer> layers_;
  Head head_;
  at::Tensor token_rows_, head_rows_;
  std::vector<NamedTensor> parameters_;
};

}  // namespace anabranch::train
