#include "tensors.hpp"

#include <algorithm>
#include <span>

#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::torch {

LayerTensors load_layer(WeightReader& reader, const hf::ModelConfig& config, std::int32_t index) {
  const hf::LayerSpec spec = hf::layer_spec(config, index);
  LayerTensors layer;
  layer.input_norm = reader.norm(spec.input_norm);
  layer.qkv = reader.projection(spec.qkv);
  layer.out = reader.projection(spec.out);
  if (spec.query_norm) layer.query_norm = reader.norm(*spec.query_norm);
  if (spec.key_norm) layer.key_norm = reader.norm(*spec.key_norm);
  layer.ffn_norm = reader.norm(spec.ffn_norm);
  if (spec.post_attention_norm) layer.post_attention_norm = reader.norm(*spec.post_attention_norm);
  if (spec.post_ffn_norm) layer.post_ffn_norm = reader.norm(*spec.post_ffn_norm);
  layer.gate_up = reader.gated(spec.gate_up, activation_of(config));
  layer.down = reader.projection(spec.down);
  return layer;
}

ModelTensors load_tensors(const hf::ModelWeights& source, Weights weights, LoadReport& report) {
  const hf::ModelConfig& config = source.config();
  ModelTensors model;
  model.memory = std::make_unique<linear::WeightMemory>();
  WeightReader reader(source, weights, model.memory.get(), report);
  reader.expect_all();
  for (std::int32_t index = 0; index < config.n_layers; ++index)
    model.layers.push_back(load_layer(reader, config, index));
  model.final_norm = reader.norm(hf::final_norm_spec(config));
  model.head = reader.projection(hf::head_spec(config));
  if (has_table(config, weights)) model.embedding = reader.table(hf::embedding_spec(config));
  return model;
}

void embed(const ModelTensors& model, const hf::ModelConfig& config, std::span<const TokenId> tokens, float* out) {
  const std::int64_t hidden = config.hidden;
  for (const TokenId token : tokens) {
    if (!model.embedding.defined()) {
      model.head.int8().channel(token, out);
    } else if (model.embedding.scalar_type() == at::kFloat) {
      std::copy_n(model.embedding.const_data_ptr<float>() + token * hidden, hidden, out);
    } else {
      const c10::BFloat16* row = model.embedding.const_data_ptr<c10::BFloat16>() + token * hidden;
      std::copy_n(row, hidden, out);
    }
    if (config.embedding_scale != 1.0f)
      for (std::int64_t i = 0; i < hidden; ++i) out[i] *= config.embedding_scale;
    out += hidden;
  }
}

}  // namespace anabranch::torch
