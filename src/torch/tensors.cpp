#include "tensors.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include <anabranch/hf/safetensors.hpp>

namespace anabranch::torch {
namespace {

/// A part of a fused tensor: its name in the file and its rows.
struct Part {
  std::string name;
  std::int64_t rows = 0;
};

class Reader {
 public:
  Reader(const std::filesystem::path& folder, at::ScalarType type) : file_(hf::Weights::open(folder)), type_(type) {}

  /// [rows, columns] in the weights' type, the parts below each other.
  at::Tensor matrix(std::initializer_list<Part> parts, std::int64_t columns) const {
    return fused(parts, columns).to(type_);
  }
  /// [rows] in the weights' type.
  at::Tensor bias(std::initializer_list<Part> parts) const { return fused(parts, 0).to(type_); }
  at::Tensor norm(const std::string& name, std::int64_t size) const { return fused({{name, size}}, 0); }

 private:
  /// `columns` 0 means vectors.
  at::Tensor fused(std::initializer_list<Part> parts, std::int64_t columns) const {
    std::int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    at::Tensor out = columns > 0 ? at::empty({rows, columns}, at::kFloat) : at::empty({rows}, at::kFloat);
    float* place = out.data_ptr<float>();
    for (const Part& part : parts) {
      const hf::Tensor& tensor =
          columns > 0 ? file_.require(part.name, {part.rows, columns}) : file_.require(part.name, {part.rows});
      const auto n = static_cast<std::size_t>(tensor.n_elements());
      hf::read_floats(tensor, std::span<float>(place, n));
      place += n;
    }
    return out;
  }

  hf::Weights file_;
  at::ScalarType type_;
};

void load_attention(const Reader& reader, const hf::ModelConfig& c, const std::string& prefix, LayerTensors& layer) {
  const std::int64_t q = c.q_width();
  const std::int64_t kv = c.kv_width();
  layer.qkv.weight = reader.matrix({{prefix + "q_proj.weight", q}, {prefix + "k_proj.weight", kv}, {prefix + "v_proj.weight", kv}}, c.hidden);
  if (c.qkv_bias)
    layer.qkv.bias = reader.bias({{prefix + "q_proj.bias", q}, {prefix + "k_proj.bias", kv}, {prefix + "v_proj.bias", kv}});
  layer.out.weight = reader.matrix({{prefix + "o_proj.weight", c.hidden}}, q);
  if (c.o_bias) layer.out.bias = reader.bias({{prefix + "o_proj.bias", c.hidden}});
  if (c.qk_norm) {
    layer.query_norm = reader.norm(prefix + "q_norm.weight", c.head_dim);
    layer.key_norm = reader.norm(prefix + "k_norm.weight", c.head_dim);
  }
}

LayerTensors load_layer(const Reader& reader, const hf::ModelConfig& c, std::int32_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  LayerTensors layer;
  layer.input_norm = reader.norm(prefix + "input_layernorm.weight", c.hidden);
  load_attention(reader, c, prefix + "self_attn.", layer);
  layer.ffn_norm = reader.norm(prefix + "post_attention_layernorm.weight", c.hidden);
  layer.gate_up.weight = reader.matrix({{prefix + "mlp.gate_proj.weight", c.ffn}, {prefix + "mlp.up_proj.weight", c.ffn}}, c.hidden);
  layer.down.weight = reader.matrix({{prefix + "mlp.down_proj.weight", c.hidden}}, c.ffn);
  return layer;
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const at::Tensor in = x.to(weight.scalar_type());
  return bias.defined() ? at::linear(in, weight, bias) : at::linear(in, weight);
}

ModelTensors load_tensors(const std::filesystem::path& folder, const hf::ModelConfig& config, at::ScalarType type) {
  const Reader reader(folder, type);
  ModelTensors model;
  model.embedding = reader.matrix({{"model.embed_tokens.weight", config.vocabulary}}, config.hidden);
  for (std::int32_t l = 0; l < config.n_layers; ++l) model.layers.push_back(load_layer(reader, config, l));
  model.final_norm = reader.norm("model.norm.weight", config.hidden);
  model.head.weight = config.tied_embeddings
                          ? model.embedding
                          : reader.matrix({{"lm_head.weight", config.vocabulary}}, config.hidden);
  return model;
}

}  // namespace anabranch::torch
