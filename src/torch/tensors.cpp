#include "tensors.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <anabranch/hf/safetensors.hpp>

namespace anabranch::torch {
namespace {

/// Rows that the packed layout is chosen for.
constexpr std::int64_t kTypicalRows = 8;

/// LibTorch's products over oneDNN's blocked weights. They have no C++ function, only a name in the dispatcher.
struct Packing {
  using Pack = at::Tensor(const at::Tensor&, std::optional<std::int64_t>);
  using Scalars = c10::List<std::optional<at::Scalar>>;  // arguments of a fused activation, of which there is none
  using Multiply = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                              Scalars, std::optional<std::string_view>);
  c10::TypedOperatorHandle<Pack> pack;
  c10::TypedOperatorHandle<Multiply> multiply;
};

/// Nothing where this LibTorch was built without oneDNN, or names them otherwise.
const std::optional<Packing>& packing() {
  static const std::optional<Packing> found = []() -> std::optional<Packing> {
    try {
      auto& dispatcher = c10::Dispatcher::singleton();
      return Packing{dispatcher.findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Packing::Pack>(),
                     dispatcher.findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Packing::Multiply>()};
    } catch (const c10::Error&) {
      return std::nullopt;
    }
  }();
  return found;
}

/// A part of a fused tensor: its name in the file and its rows.
struct Part {
  std::string name;
  std::int64_t rows = 0;
};

class Reader {
 public:
  Reader(const std::filesystem::path& folder, at::ScalarType type) : file_(hf::Weights::open(folder)), type_(type) {}

  /// [rows, columns] in the weights' type, the parts below each other.
  at::Tensor matrix(std::span<const Part> parts, std::int64_t columns) const { return fused(parts, columns).to(type_); }
  at::Tensor matrix(const std::string& name, std::int64_t rows, std::int64_t columns) const {
    return matrix(std::array{Part{name, rows}}, columns);
  }
  /// [rows] in the weights' type.
  at::Tensor bias(std::span<const Part> parts) const { return fused(parts, 0).to(type_); }
  at::Tensor norm(const std::string& name, std::int64_t size) const { return fused(std::array{Part{name, size}}, 0); }

 private:
  /// `columns` 0 means vectors.
  at::Tensor fused(std::span<const Part> parts, std::int64_t columns) const {
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
  const auto fused = [&](const char* kind) {
    return std::array{Part{prefix + "q_proj" + kind, q}, Part{prefix + "k_proj" + kind, kv},
                      Part{prefix + "v_proj" + kind, kv}};
  };
  layer.qkv =
      Linear(reader.matrix(fused(".weight"), c.hidden), c.qkv_bias ? reader.bias(fused(".bias")) : at::Tensor{});
  layer.out = Linear(reader.matrix(prefix + "o_proj.weight", c.hidden, q),
                     c.o_bias ? reader.bias(std::array{Part{prefix + "o_proj.bias", c.hidden}}) : at::Tensor{});
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
  const std::array gate_up{Part{prefix + "mlp.gate_proj.weight", c.ffn}, Part{prefix + "mlp.up_proj.weight", c.ffn}};
  layer.gate_up = Linear(reader.matrix(gate_up, c.hidden));
  layer.down = Linear(reader.matrix(prefix + "mlp.down_proj.weight", c.hidden, c.ffn));
  return layer;
}

}  // namespace

Linear::Linear(at::Tensor weight, at::Tensor bias)
    : weight_(std::move(weight)), bias_(std::move(bias)), type_(weight_.scalar_type()) {
  if (!packing().has_value()) return;
  try {
    const at::Tensor packed = packing()->pack.call(weight_, kTypicalRows);
    packing()->multiply.call(at::zeros({1, weight_.size(1)}, type_), packed, {}, "none", Packing::Scalars(), "");
    weight_ = packed;
    packed_ = true;
  } catch (const c10::Error&) {
    // oneDNN does not take this type or size on this CPU: the plain product does.
  }
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const at::Tensor in = x.to(type_).contiguous();
  std::optional<at::Tensor> bias;
  if (bias_.defined()) bias = bias_;
  return packed_ ? packing()->multiply.call(in, weight_, bias, "none", Packing::Scalars(), "")
                 : at::linear(in, weight_, bias);
}

ModelTensors load_tensors(const std::filesystem::path& folder, const hf::ModelConfig& config, at::ScalarType type) {
  const Reader reader(folder, type);
  ModelTensors model;
  model.embedding = reader.matrix("model.embed_tokens.weight", config.vocabulary, config.hidden);
  for (std::int32_t l = 0; l < config.n_layers; ++l) model.layers.push_back(load_layer(reader, config, l));
  model.final_norm = reader.norm("model.norm.weight", config.hidden);
  model.head = Linear(config.tied_embeddings ? model.embedding
                                             : reader.matrix("lm_head.weight", config.vocabulary, config.hidden));
  return model;
}

}  // namespace anabranch::torch
