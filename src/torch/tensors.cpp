#include "tensors.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include <anabranch/hf/safetensors.hpp>

#include "thread_team.hpp"

namespace anabranch::torch {
namespace {

/// A part of a fused tensor: its name in the file and its rows.
struct Part {
  std::string name;
  std::int64_t rows = 0;
};

/// Reads matrices out of the files, changes them as the adapter says, and puts them into the wanted type.
class Reader {
 public:
  Reader(const WeightSource& source, Weights weights, std::pmr::memory_resource* memory)
      : file_(hf::Weights::open(source.folder)), adapter_(source.adapter), weights_(weights), memory_(memory) {}

  at::Tensor norm(const std::string& name, std::int64_t size) const { return fused(std::array{Part{name, size}}, 0); }

  /// [rows, columns] of the parts below each other; `biases` likewise, or none.
  Projection projection(std::span<const Part> parts, std::int64_t columns, std::span<const Part> biases = {}) const {
    const at::Tensor weight = fused(parts, columns);
    const at::Tensor bias = biases.empty() ? at::Tensor{} : fused(biases, 0);
    if (weights_ == Weights::int8) return Projection(linear::Int8Matrix(plain(weight, bias), memory_));
    return {weight.to(type()), bias.defined() ? bias.to(type()) : bias, false};
  }
  Projection gated(const Part& gate, const Part& up, std::int64_t columns) const {
    if (weights_ != Weights::int8) return {fused(std::array{gate, up}, columns).to(type()), {}, true};
    const at::Tensor of_gate = fused(std::array{gate}, columns);
    const at::Tensor of_up = fused(std::array{up}, columns);
    return Projection(linear::Int8Matrix(plain(of_gate, {}), plain(of_up, {}), memory_));
  }
  /// Rows that are looked up, not multiplied: half the bytes are enough for int8.
  at::Tensor table(const std::string& name, std::int64_t rows, std::int64_t columns) const {
    const at::Tensor all = fused(std::array{Part{name, rows}}, columns);
    return weights_ == Weights::float32 ? all : all.to(at::kBFloat16);
  }

 private:
  at::ScalarType type() const noexcept { return weights_ == Weights::bfloat16 ? at::kBFloat16 : at::kFloat; }

  static linear::FloatMatrix plain(const at::Tensor& weight, const at::Tensor& bias) {
    return {weight.const_data_ptr<float>(), bias.defined() ? bias.const_data_ptr<float>() : nullptr,
            static_cast<std::int32_t>(weight.size(0)), static_cast<std::int32_t>(weight.size(1))};
  }

  /// Float32; `columns` 0 means vectors.
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
      if (adapter_ != nullptr) adapter_->merge_into(part.name, std::span<float>(place, n));
      place += n;
    }
    return out;
  }

  hf::Weights file_;
  const hf::Adapter* adapter_;
  Weights weights_;
  std::pmr::memory_resource* memory_;
};

void load_attention(const Reader& reader, const hf::ModelConfig& c, const std::string& prefix, LayerTensors& layer) {
  const auto fused = [&](const char* kind) {
    return std::array{Part{prefix + "q_proj" + kind, c.q_width()}, Part{prefix + "k_proj" + kind, c.kv_width()},
                      Part{prefix + "v_proj" + kind, c.kv_width()}};
  };
  const std::array weights = fused(".weight");
  const std::array biases = fused(".bias");
  layer.qkv =
      reader.projection(weights, c.hidden, c.qkv_bias ? std::span<const Part>(biases) : std::span<const Part>());
  const std::array out{Part{prefix + "o_proj.weight", c.hidden}};
  const std::array out_bias{Part{prefix + "o_proj.bias", c.hidden}};
  layer.out = reader.projection(out, c.q_width(), c.o_bias ? std::span<const Part>(out_bias) : std::span<const Part>());
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
  layer.gate_up =
      reader.gated({prefix + "mlp.gate_proj.weight", c.ffn}, {prefix + "mlp.up_proj.weight", c.ffn}, c.hidden);
  layer.down = reader.projection(std::array{Part{prefix + "mlp.down_proj.weight", c.hidden}}, c.ffn);
  return layer;
}

bool multiplies_bfloat16() noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;  // every CPU with amx_bf16 has it too
#else
  return false;
#endif
}

/// One layer's products in one type, and the least time that they took.
struct Candidate {
  Weights weights;
  LayerTensors layer;
  double seconds = std::numeric_limits<double>::infinity();
};

/// Runs the candidate's products once, with weights out of cache.
void measure(Candidate& candidate, const hf::ModelConfig& c, std::vector<char>& elsewhere) {
  constexpr std::int32_t kRows = 4;
  const auto row = static_cast<std::size_t>(std::max({c.hidden, c.q_width() + 2 * c.kv_width(), c.ffn}));
  std::vector<float> in(kRows * row, 1.0f), out(kRows * row);
  ProductScratch scratch;
  const auto stride = static_cast<std::int64_t>(row);
  for (char& byte : elsewhere) ++byte;
  const auto begin = std::chrono::steady_clock::now();
  const LayerTensors& layer = candidate.layer;
  for (const Projection* p : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down})
    p->run({in.data(), stride, kRows}, {}, {out.data(), stride, Write::replace}, scratch, torch_threads());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  candidate.seconds = std::min(candidate.seconds, seconds);
}

}  // namespace

ModelTensors load_tensors(const WeightSource& source, const hf::ModelConfig& config, Weights weights) {
  ModelTensors model;
  model.memory = std::make_unique<linear::WeightMemory>();
  const Reader reader(source, weights, model.memory.get());
  for (std::int32_t l = 0; l < config.n_layers; ++l) model.layers.push_back(load_layer(reader, config, l));
  model.final_norm = reader.norm("model.norm.weight", config.hidden);
  const char* embedding = "model.embed_tokens.weight";
  const std::string head = config.tied_embeddings ? embedding : "lm_head.weight";
  model.head = reader.projection(std::array{Part{head, config.vocabulary}}, config.hidden);
  if (!config.tied_embeddings || weights != Weights::int8)
    model.embedding = reader.table(embedding, config.vocabulary, config.hidden);
  return model;
}

Weights fastest_weights(const std::filesystem::path& folder, const hf::ModelConfig& config) {
  std::vector<Candidate> candidates;
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32})
    if (weights != Weights::bfloat16 || multiplies_bfloat16())
      candidates.push_back(
          {weights, load_layer(Reader({folder}, weights, std::pmr::get_default_resource()), config, 0)});
  std::vector<char> elsewhere(std::size_t{48} << 20);
  for (int turn = 0; turn < 5; ++turn)
    for (Candidate& candidate : candidates) measure(candidate, config, elsewhere);
  return std::min_element(candidates.begin(), candidates.end(),
                          [](const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; })
      ->weights;
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
    out += hidden;
  }
}

}  // namespace anabranch::torch
