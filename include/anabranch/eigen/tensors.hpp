// The oracle's weights under the names and shapes of Hugging Face checkpoints, as float32.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/eigen/impl/blocks.hpp>
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

/// Matrices below each other.
inline Matrix stacked(const std::vector<const Matrix*>& parts) {
  ::Eigen::Index rows = 0;
  for (const Matrix* part : parts) rows += part->rows();
  Matrix all(rows, parts.front()->cols());
  rows = 0;
  for (const Matrix* part : parts) {
    all.middleRows(rows, part->rows()) = *part;
    rows += part->rows();
  }
  return all;
}

inline void add_heads(std::vector<NamedTensor>& out, const LayerWeights& w, const std::string& attention) {
  out.push_back(named(attention + "q_proj.weight", w.query));
  out.push_back(named(attention + "k_proj.weight", w.key));
  out.push_back(named(attention + "v_proj.weight", w.value));
  if (w.query_bias.size() > 0) {
    out.push_back(named(attention + "q_proj.bias", w.query_bias));
    out.push_back(named(attention + "k_proj.bias", w.key_bias));
    out.push_back(named(attention + "v_proj.bias", w.value_bias));
  }
  if (w.query_norm.size() > 0) {
    out.push_back(named(attention + "q_norm.weight", w.query_norm));
    out.push_back(named(attention + "k_norm.weight", w.key_norm));
  }
}

inline void add_layer(std::vector<NamedTensor>& out, const LayerWeights& w, const Shape& s, const std::string& prefix) {
  out.push_back(named(prefix + "input_layernorm.weight", w.input_norm));
  if (s.fused_matrices)
    out.push_back(named(prefix + "self_attn.qkv_proj.weight", stacked({&w.query, &w.key, &w.value})));
  else
    add_heads(out, w, prefix + "self_attn.");
  out.push_back(named(prefix + "self_attn.o_proj.weight", w.out));
  if (s.post_norms) {
    out.push_back(named(prefix + "post_attention_layernorm.weight", w.post_attention_norm));
    out.push_back(named(prefix + "pre_feedforward_layernorm.weight", w.ffn_norm));
    out.push_back(named(prefix + "post_feedforward_layernorm.weight", w.post_ffn_norm));
  } else {
    out.push_back(named(prefix + "post_attention_layernorm.weight", w.ffn_norm));
  }
  if (s.fused_matrices) {
    out.push_back(named(prefix + "mlp.gate_up_proj.weight", stacked({&w.gate, &w.up})));
  } else {
    out.push_back(named(prefix + "mlp.gate_proj.weight", w.gate));
    out.push_back(named(prefix + "mlp.up_proj.weight", w.up));
  }
  out.push_back(named(prefix + "mlp.down_proj.weight", w.down));
}

/// Class and type of the architecture that has a shape's switches.
struct Family {
  const char* class_name;
  const char* model_type;
};

inline Family family_of(const Shape& s) {
  if (s.turn_interval > 0) return {"SmolLM3ForCausalLM", "smollm3"};
  if (s.residual_scale != 1) return {"GraniteForCausalLM", "granite"};
  if (s.post_norms && s.qk_norm) return {"Gemma3ForCausalLM", "gemma3_text"};
  if (s.post_norms) return {"Gemma2ForCausalLM", "gemma2"};
  if (s.norm_offset != 0) return {"GemmaForCausalLM", "gemma"};
  if (s.fused_matrices) return {"Phi3ForCausalLM", "phi3"};
  if (s.qk_norm) return {"Qwen3ForCausalLM", "qwen3"};
  if (s.qkv_bias) return {"Qwen2ForCausalLM", "qwen2"};
  if (!s.windows.empty()) return {"MistralForCausalLM", "mistral"};
  return {"LlamaForCausalLM", "llama"};
}

inline std::string entry(const char* key, double value) {
  return std::string(", \"") + key + "\": " + std::to_string(value);
}
inline std::string entry(const char* key, std::int32_t value) {
  return std::string(", \"") + key + "\": " + std::to_string(value);
}
inline std::string entry(const char* key, const std::string& value) {
  return std::string(", \"") + key + "\": " + value;
}

/// `sliding_window` and `layer_types`: all windows of a shape are equal, or none.
inline std::string window_entries(const Shape& s) {
  std::int32_t window = 0;
  for (const std::int32_t w : s.windows) window = std::max(window, w);
  if (window == 0) return entry("sliding_window", "null");
  std::string types;
  for (std::size_t l = 0; l < static_cast<std::size_t>(s.layers); ++l)
    types += std::string(l == 0 ? "" : ", ") + "\"" + (window_of(s, l) > 0 ? "sliding" : "full") + "_attention\"";
  return entry("sliding_window", window) + entry("use_sliding_window", "true") +
         entry("layer_types", "[" + types + "]");
}

inline std::string softcap_entry(const char* key, double cap) { return cap > 0 ? entry(key, cap) : entry(key, "null"); }

}  // namespace impl

/// All tensors that a Hugging Face folder of this model holds.
inline std::vector<NamedTensor> named_tensors(const Weights& weights) {
  std::vector<NamedTensor> out;
  out.push_back(impl::named("model.embed_tokens.weight", weights.embedding));
  for (std::size_t l = 0; l < weights.layers.size(); ++l)
    impl::add_layer(out, weights.layers[l], weights.shape, "model.layers." + std::to_string(l) + ".");
  out.push_back(impl::named("model.norm.weight", weights.final_norm));
  if (!weights.shape.tied_head) out.push_back(impl::named("lm_head.weight", weights.head));
  return out;
}

/// The config.json of this model: of the architecture that has its switches (impl::family_of).
inline std::string config_json(const Shape& s) {
  const impl::Family family = impl::family_of(s);
  const auto entry = [](const char* key, auto value) { return impl::entry(key, value); };
  const char* const activation = s.activation == Activation::silu ? "silu" : "gelu_pytorch_tanh";
  std::string json =
      std::string("{\"architectures\": [\"") + family.class_name + "\"], \"model_type\": \"" + family.model_type +
      "\", \"hidden_act\": \"" + activation + "\", \"hidden_activation\": \"" + activation +
      "\", \"torch_dtype\": \"float32\"" + entry("vocab_size", s.vocabulary) + entry("hidden_size", s.hidden) +
      entry("num_hidden_layers", s.layers) + entry("num_attention_heads", s.query_heads) +
      entry("num_key_value_heads", s.kv_heads) + entry("head_dim", s.head_size) + entry("intermediate_size", s.ffn) +
      entry("max_position_embeddings", s.max_positions) + entry("rope_theta", s.rope_theta) +
      ", \"rms_norm_eps\": " + std::to_string(static_cast<std::int64_t>(std::llround(s.norm_epsilon * 1e9))) + "e-9" +
      ", \"attention_bias\": false, \"tie_word_embeddings\": " + (s.tied_head ? "true" : "false");
  json += impl::window_entries(s);
  if (s.rotary_share != 1) json += entry("partial_rotary_factor", s.rotary_share);
  if (s.post_norms) {
    json += entry("query_pre_attn_scalar", s.query_scale > 0 ? 1 / (s.query_scale * s.query_scale) : s.head_size);
    json += impl::softcap_entry("attn_logit_softcapping", s.softcap);
    json += impl::softcap_entry("final_logit_softcapping", s.logit_softcap);
  }
  if (s.turn_interval > 0) json += entry("no_rope_layer_interval", s.turn_interval);
  if (s.residual_scale != 1)
    json += entry("embedding_multiplier", s.embedding_scale) + entry("attention_multiplier", s.query_scale) +
            entry("residual_multiplier", s.residual_scale) + entry("logits_scaling", s.logit_divisor);
  if (s.window_rope_theta > 0) json += entry("rope_local_base_freq", s.window_rope_theta);
  return json + "}\n";
}

}  // namespace anabranch::eigen
