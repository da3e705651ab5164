// The oracle's weights under the names and shapes of Hugging Face checkpoints, as float32.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/eigen/weights.hpp>

namespace anabranch::eigen {

/// One tensor of a checkpoint, row-major.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

namespace impl {

inline NamedTensor named(std::string name, const Matrix& m) {
  NamedTensor t{std::move(name), {m.rows(), m.cols()}, {}};
  for (::Eigen::Index i = 0; i < m.size(); ++i) t.values.push_back(static_cast<float>(m.data()[i]));
  return t;
}

inline NamedTensor named(std::string name, const Vector& v) {
  NamedTensor t{std::move(name), {v.size()}, {}};
  for (::Eigen::Index i = 0; i < v.size(); ++i) t.values.push_back(static_cast<float>(v[i]));
  return t;
}

inline void add_layer(std::vector<NamedTensor>& out, const LayerWeights& w, const std::string& prefix) {
  out.push_back(named(prefix + "input_layernorm.weight", w.input_norm));
  out.push_back(named(prefix + "self_attn.q_proj.weight", w.query));
  out.push_back(named(prefix + "self_attn.k_proj.weight", w.key));
  out.push_back(named(prefix + "self_attn.v_proj.weight", w.value));
  if (w.query_bias.size() > 0) {
    out.push_back(named(prefix + "self_attn.q_proj.bias", w.query_bias));
    out.push_back(named(prefix + "self_attn.k_proj.bias", w.key_bias));
    out.push_back(named(prefix + "self_attn.v_proj.bias", w.value_bias));
  }
  if (w.query_norm.size() > 0) {
    out.push_back(named(prefix + "self_attn.q_norm.weight", w.query_norm));
    out.push_back(named(prefix + "self_attn.k_norm.weight", w.key_norm));
  }
  out.push_back(named(prefix + "self_attn.o_proj.weight", w.out));
  out.push_back(named(prefix + "post_attention_layernorm.weight", w.ffn_norm));
  out.push_back(named(prefix + "mlp.gate_proj.weight", w.gate));
  out.push_back(named(prefix + "mlp.up_proj.weight", w.up));
  out.push_back(named(prefix + "mlp.down_proj.weight", w.down));
}

}  // namespace impl

/// All tensors that a Hugging Face folder of this model holds.
inline std::vector<NamedTensor> named_tensors(const Weights& weights) {
  std::vector<NamedTensor> out;
  out.push_back(impl::named("model.embed_tokens.weight", weights.embedding));
  for (std::size_t l = 0; l < weights.layers.size(); ++l)
    impl::add_layer(out, weights.layers[l], "model.layers." + std::to_string(l) + ".");
  out.push_back(impl::named("model.norm.weight", weights.final_norm));
  if (!weights.shape.tied_head) out.push_back(impl::named("lm_head.weight", weights.head));
  return out;
}

/// The config.json of this model: Qwen3 with qk_norm, Qwen2 with qkv_bias, Llama otherwise.
inline std::string config_json(const Shape& s) {
  const std::string family = s.qk_norm ? "qwen3" : s.qkv_bias ? "qwen2" : "llama";
  const std::string architecture = s.qk_norm    ? "Qwen3ForCausalLM"
                                   : s.qkv_bias ? "Qwen2ForCausalLM"
                                                : "LlamaForCausalLM";
  const auto entry = [](const char* key, auto value) {
    return std::string(", \"") + key + "\": " + std::to_string(value);
  };
  return "{\"architectures\": [\"" + architecture + "\"], \"model_type\": \"" + family +
         "\", \"hidden_act\": \"silu\", \"torch_dtype\": \"float32\"" + entry("vocab_size", s.vocabulary) +
         entry("hidden_size", s.hidden) + entry("num_hidden_layers", s.layers) +
         entry("num_attention_heads", s.query_heads) + entry("num_key_value_heads", s.kv_heads) +
         entry("head_dim", s.head_size) + entry("intermediate_size", s.ffn) +
         entry("max_position_embeddings", s.max_positions) + entry("rope_theta", s.rope_theta) +
         ", \"rms_norm_eps\": " + std::to_string(static_cast<std::int64_t>(std::llround(s.norm_epsilon * 1e9))) +
         "e-9" + ", \"attention_bias\": false, \"tie_word_embeddings\": " + (s.tied_head ? "true" : "false") + "}\n";
}

}  // namespace anabranch::eigen
