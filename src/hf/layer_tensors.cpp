#include <anabranch/hf/layer_tensors.hpp>

namespace anabranch::hf {

namespace {

std::vector<MatrixSpec> query_key_value(const ModelConfig& c, const std::string& attention) {
  if (c.fused_matrices) return {{attention + "qkv_proj", c.q_width() + 2 * c.kv_width(), c.hidden, c.qkv_bias}};
  return {{attention + "q_proj", c.q_width(), c.hidden, c.qkv_bias},
          {attention + "k_proj", c.kv_width(), c.hidden, c.qkv_bias},
          {attention + "v_proj", c.kv_width(), c.hidden, c.qkv_bias}};
}

std::vector<MatrixSpec> gate_and_up(const ModelConfig& c, const std::string& ffn) {
  if (c.fused_matrices) return {{ffn + "gate_up_proj", 2 * c.ffn, c.hidden, c.mlp_bias}};
  return {{ffn + "gate_proj", c.ffn, c.hidden, c.mlp_bias}, {ffn + "up_proj", c.ffn, c.hidden, c.mlp_bias}};
}

}  // namespace

std::vector<const MatrixSpec*> LayerSpec::matrices() const {
  std::vector<const MatrixSpec*> all;
  for (const MatrixSpec& matrix : qkv) all.push_back(&matrix);
  all.push_back(&out);
  for (const MatrixSpec& matrix : gate_up) all.push_back(&matrix);
  all.push_back(&down);
  return all;
}

std::vector<const NormSpec*> LayerSpec::norms() const {
  std::vector<const NormSpec*> all{&input_norm, &ffn_norm};
  for (const auto* norm : {&query_norm, &key_norm, &post_attention_norm, &post_ffn_norm})
    if (*norm) all.push_back(&**norm);
  return all;
}

LayerSpec layer_spec(const ModelConfig& c, std::int32_t index) {
  const std::string layer = "model.layers." + std::to_string(index) + ".";
  const std::string attention = layer + "self_attn.", ffn = layer + "mlp.";
  const auto norm = [&](const std::string& name, std::int32_t size) {
    return NormSpec{name + ".weight", size, c.norm_offset};
  };
  LayerSpec spec;
  spec.input_norm = norm(layer + "input_layernorm", c.hidden);
  // With norms behind both parts, the name of Llama's norm before the feed-forward is that of the one behind attention.
  spec.ffn_norm = norm(layer + (c.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm"), c.hidden);
  if (c.post_norms) {
    spec.post_attention_norm = norm(layer + "post_attention_layernorm", c.hidden);
    spec.post_ffn_norm = norm(layer + "post_feedforward_layernorm", c.hidden);
  }
  if (c.qk_norm) {
    spec.query_norm = norm(attention + "q_norm", c.head_dim);
    spec.key_norm = norm(attention + "k_norm", c.head_dim);
  }
  spec.qkv = query_key_value(c, attention);
  spec.out = {attention + "o_proj", c.hidden, c.q_width(), c.o_bias};
  spec.gate_up = gate_and_up(c, ffn);
  spec.down = {ffn + "down_proj", c.hidden, c.ffn, c.mlp_bias};
  return spec;
}

MatrixSpec embedding_spec(const ModelConfig& config) {
  return {kEmbeddingModule, config.vocabulary, config.hidden, false};
}

MatrixSpec head_spec(const ModelConfig& config) {
  return {config.tied_embeddings ? kEmbeddingModule : kHeadModule, config.vocabulary, config.hidden, false};
}

NormSpec final_norm_spec(const ModelConfig& config) { return {"model.norm.weight", config.hidden, config.norm_offset}; }

std::map<std::string, std::vector<std::int64_t>, std::less<>> tensor_shapes(const ModelConfig& config) {
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes;
  const auto matrix = [&](const MatrixSpec& spec) {
    shapes[spec.weight()] = {spec.out, spec.in};
    if (spec.has_bias) shapes[spec.bias()] = {spec.out};
  };
  const auto norm = [&](const NormSpec& spec) { shapes[spec.name] = {spec.size}; };
  for (std::int32_t index = 0; index < config.n_layers; ++index) {
    const LayerSpec layer = layer_spec(config, index);
    for (const NormSpec* spec : layer.norms()) norm(*spec);
    for (const MatrixSpec* spec : layer.matrices()) matrix(*spec);
  }
  norm(final_norm_spec(config));
  matrix(embedding_spec(config));
  ModelConfig untied = config;
  untied.tied_embeddings = false;
  matrix(head_spec(untied));
  return shapes;
}

}  // namespace anabranch::hf
