#include "tensors.hpp"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <vector>

#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::torch {

namespace {

/// `rows` of the matrix below each other; where it is stored as a part of a fused one, that begins at row `first`.
MatrixPart rows_of(const hf::MatrixSpec& stored, std::int32_t first, const Range& rows) {
  return {stored, {first + rows.begin, first + rows.end}, {0, stored.in}};
}

/// Rows of matrices that share an input, each stored alone, or all fused.
struct Wanted {
  std::int32_t size;  ///< rows of the whole matrix
  Range rows;
};
std::vector<MatrixPart> parts_of(const std::vector<hf::MatrixSpec>& stored, std::initializer_list<Wanted> wanted) {
  std::vector<MatrixPart> parts;
  std::int32_t first = 0;
  for (const Wanted& matrix : wanted) {
    const bool fused = stored.size() == 1;
    parts.push_back(rows_of(fused ? stored.front() : stored[parts.size()], fused ? first : 0, matrix.rows));
    first += matrix.size;
  }
  return parts;
}

/// The matrix of a product that brings the ranks' parts together (shard.hpp). Its bias is added once.
MatrixPart combining(const hf::MatrixSpec& stored, const Range& inputs, const Shard& shard) {
  MatrixPart part = rows_of(stored, 0, shard.hidden);
  if (shard.combine == Combine::gather) return part;
  part.columns = inputs;
  part.spec.has_bias = stored.has_bias && shard.rank == 0;
  return part;
}

}  // namespace

LayerTensors load_layer(WeightReader& reader, const hf::ModelConfig& config, const Shard& shard, std::int32_t index) {
  const hf::LayerSpec spec = hf::layer_spec(config, index);
  LayerTensors layer;
  layer.input_norm = reader.norm(spec.input_norm);
  layer.qkv = reader.projection(parts_of(
      spec.qkv, {{config.q_width(), shard.queries}, {config.kv_width(), shard.keys}, {config.kv_width(), shard.keys}}));
  layer.out = reader.projection(combining(spec.out, shard.queries, shard));
  if (spec.query_norm) layer.query_norm = reader.norm(*spec.query_norm);
  if (spec.key_norm) layer.key_norm = reader.norm(*spec.key_norm);
  layer.ffn_norm = reader.norm(spec.ffn_norm);
  if (spec.post_attention_norm) layer.post_attention_norm = reader.norm(*spec.post_attention_norm);
  if (spec.post_ffn_norm) layer.post_ffn_norm = reader.norm(*spec.post_ffn_norm);
  const std::vector<MatrixPart> gate_up = parts_of(spec.gate_up, {{config.ffn, shard.ffn}, {config.ffn, shard.ffn}});
  layer.gate_up = reader.gated(gate_up[0], gate_up[1], activation_of(config));
  layer.down = reader.projection(combining(spec.down, shard.ffn, shard));
  return layer;
}

ModelTensors load_tensors(const hf::ModelWeights& source, Weights weights, const Shard& shard, LoadReport& report) {
  const hf::ModelConfig& config = source.config();
  ModelTensors model;
  model.memory = std::make_unique<linear::WeightMemory>();
  WeightReader reader(source, weights, model.memory.get(), report);
  reader.expect_all(shard);
  for (std::int32_t index = 0; index < config.n_layers; ++index)
    model.layers.push_back(load_layer(reader, config, shard, index));
  model.final_norm = reader.norm(hf::final_norm_spec(config));
  model.head = reader.projection(rows_of(hf::head_spec(config), 0, shard.vocabulary));
  if (has_table(config, weights))
    model.embedding = reader.table(rows_of(hf::embedding_spec(config), 0, shard.vocabulary));
  return model;
}

void embed(const ModelTensors& model, const hf::ModelConfig& config, const Range& rows, std::span<const TokenId> tokens,
           float* out) {
  const std::int64_t hidden = config.hidden;
  for (const TokenId id : tokens) {
    const TokenId token = id - rows.begin;
    if (!rows.has(id)) {
      std::fill_n(out, hidden, 0.0f);
    } else if (!model.embedding.defined()) {
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
