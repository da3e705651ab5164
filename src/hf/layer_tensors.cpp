#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::hf {

LayerSpec layer_spec(const ModelConfig& c, std::int32_t index) {
  const std::string layer = "model.layers." + std::to_string(index) + ".";
  const std::string attention = layer + "self_attn.", ffn = layer + "mlp.";
  LayerSpec spec;
  spec.input_norm = {layer + "input_layernorm.weight", c.hidden};
  spec.ffn_norm = {layer + "post_attention_layernorm.weight", c.hidden};
  if (c.qk_norm) {
    spec.query_norm = {attention + "q_norm.weight", c.head_dim};
    spec.key_norm = {attention + "k_norm.weight", c.head_dim};
  }
  spec.qkv = {{{attention + "q_proj", c.q_width(), c.hidden, c.qkv_bias},
               {attention + "k_proj", c.kv_width(), c.hidden, c.qkv_bias},
               {attention + "v_proj", c.kv_width(), c.hidden, c.qkv_bias}}};
  spec.out = {attention + "o_proj", c.hidden, c.q_width(), c.o_bias};
  spec.gate_up = {{{ffn + "gate_proj", c.ffn, c.hidden, false}, {ffn + "up_proj", c.ffn, c.hidden, false}}};
  spec.down = {ffn + "down_proj", c.hidden, c.ffn, false};
  return spec;
}

MatrixSpec embedding_spec(const ModelConfig& config) {
  return {kEmbeddingModule, config.vocabulary, config.hidden, false};
}

MatrixSpec head_spec(const ModelConfig& config) {
  return {config.tied_embeddings ? kEmbeddingModule : kHeadModule, config.vocabulary, config.hidden, false};
}

NormSpec final_norm_spec(const ModelConfig& config) { return {"model.norm.weight", config.hidden}; }

std::map<std::string, std::vector<std::int64_t>, std::less<>> tensor_shapes(const ModelConfig& config) {
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes;
  const auto matrix = [&](const MatrixSpec& spec) {
    shapes[spec.weight()] = {spec.out, spec.in};
    if (spec.has_bias) shapes[spec.bias()] = {spec.out};
  };
  const auto norm = [&](const NormSpec& spec) { shapes[spec.name] = {spec.size}; };
  for (std::int32_t index = 0; index < config.n_layers; ++index) {
    const LayerSpec layer = layer_spec(config, index);
    norm(layer.input_norm);
    norm(layer.ffn_norm);
    if (layer.query_norm) norm(*layer.query_norm);
    if (layer.key_norm) norm(*layer.key_norm);
    for (const MatrixSpec& spec : layer.qkv) matrix(spec);
    matrix(layer.out);
    for (const MatrixSpec& spec : layer.gate_up) matrix(spec);
    matrix(layer.down);
  }
  norm(final_norm_spec(config));
  matrix(embedding_spec(config));
  ModelConfig untied = config;
  untied.tied_embeddings = false;
  matrix(head_spec(untied));
  return shapes;
}

}  // namespace anabranch::hf
