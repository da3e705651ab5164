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

#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/safetensors.hpp>

#include "sizes.hpp"
#include "thread_team.hpp"

namespace anabranch::torch {
namespace {

/// Reads matrices out of the files, changes them as the adapter says, and puts them into the wanted type.
class Reader {
 public:
  Reader(const WeightSource& source, Weights weights, std::pmr::memory_resource* memory)
      : file_(hf::Weights::open(source.folder)), adapter_(source.adapter), weights_(weights), memory_(memory) {}

  at::Tensor norm(const hf::NormSpec& norm) const {
    at::Tensor out = at::empty({norm.size}, at::kFloat);
    read(norm.name, std::array<std::int64_t, 1>{norm.size}, out.data_ptr<float>());
    return out;
  }

  /// [rows, in] of the matrices below each other, which have the same `in` and all a bias or none.
  Projection projection(std::span<const hf::MatrixSpec> matrices) const {
    const at::Tensor weight = fused(matrices);
    const at::Tensor bias = matrices.front().has_bias ? fused_bias(matrices) : at::Tensor{};
    if (weights_ == Weights::int8) return Projection(linear::Int8Matrix(plain(weight, bias), memory_));
    return {weight.to(type()), bias.defined() ? bias.to(type()) : bias, false};
  }
  Projection projection(const hf::MatrixSpec& matrix) const { return projection(std::span(&matrix, 1)); }
  Projection gated(const std::array<hf::MatrixSpec, 2>& gate_up) const {
    if (weights_ != Weights::int8) return {fused(gate_up).to(type()), {}, true};
    const at::Tensor gate = fused(std::span(gate_up).first(1));
    const at::Tensor up = fused(std::span(gate_up).last(1));
    return Projection(linear::Int8Matrix(plain(gate, {}), plain(up, {}), memory_));
  }
  /// Rows that are looked up, not multiplied: half the bytes are enough for int8.
  at::Tensor table(const hf::MatrixSpec& matrix) const {
    const at::Tensor all = fused(std::span(&matrix, 1));
    return weights_ == Weights::float32 ? all : all.to(at::kBFloat16);
  }

 private:
  at::ScalarType type() const noexcept { return weights_ == Weights::bfloat16 ? at::kBFloat16 : at::kFloat; }

  static linear::FloatMatrix plain(const at::Tensor& weight, const at::Tensor& bias) {
    return {weight.const_data_ptr<float>(), bias.defined() ? bias.const_data_ptr<float>() : nullptr,
            static_cast<std::int32_t>(weight.size(0)), static_cast<std::int32_t>(weight.size(1))};
  }

  static std::int64_t total_rows(std::span<const hf::MatrixSpec> matrices) {
    std::int64_t rows = 0;
    for (const hf::MatrixSpec& matrix : matrices) rows += matrix.out;
    return rows;
  }

  /// The weights in float32, below each other.
  at::Tensor fused(std::span<const hf::MatrixSpec> matrices) const {
    at::Tensor out = at::empty({total_rows(matrices), matrices.front().in}, at::kFloat);
    float* to = out.data_ptr<float>();
    for (const hf::MatrixSpec& matrix : matrices)
      to = read(matrix.weight(), std::array<std::int64_t, 2>{matrix.out, matrix.in}, to);
    return out;
  }
  at::Tensor fused_bias(std::span<const hf::MatrixSpec> matrices) const {
    at::Tensor out = at::empty({total_rows(matrices)}, at::kFloat);
    float* to = out.data_ptr<float>();
    for (const hf::MatrixSpec& matrix : matrices) to = read(matrix.bias(), std::array<std::int64_t, 1>{matrix.out}, to);
    return out;
  }

  /// Reads one tensor into `to` as the adapter has it, and returns the end of what it wrote.
  float* read(const std::string& name, std::span<const std::int64_t> shape, float* to) const {
    const hf::Tensor& tensor = file_.require(name, shape);
    const std::span<float> values(to, to + tensor.n_elements());
    hf::read_floats(tensor, values);
    if (adapter_ != nullptr) adapter_->merge_into(name, values);
    return to + values.size();
  }

  hf::Weights file_;
  const hf::Adapter* adapter_;
  Weights weights_;
  std::pmr::memory_resource* memory_;
};

LayerTensors load_layer(const Reader& reader, const hf::LayerSpec& spec) {
  LayerTensors layer;
  layer.input_norm = reader.norm(spec.input_norm);
  layer.qkv = reader.projection(spec.qkv);
  layer.out = reader.projection(spec.out);
  if (spec.query_norm) layer.query_norm = reader.norm(*spec.query_norm);
  if (spec.key_norm) layer.key_norm = reader.norm(*spec.key_norm);
  layer.ffn_norm = reader.norm(spec.ffn_norm);
  layer.gate_up = reader.gated(spec.gate_up);
  layer.down = reader.projection(spec.down);
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
  const std::int64_t stride = std::max({c.hidden, c.q_width() + 2 * c.kv_width(), c.ffn});
  std::vector<float> in(n_elements(kRows, stride), 1.0f), out(in.size());
  ProductScratch scratch;
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
  for (std::int32_t index = 0; index < config.n_layers; ++index)
    model.layers.push_back(load_layer(reader, hf::layer_spec(config, index)));
  model.final_norm = reader.norm(hf::final_norm_spec(config));
  model.head = reader.projection(hf::head_spec(config));
  if (!config.tied_embeddings || weights != Weights::int8) model.embedding = reader.table(hf::embedding_spec(config));
  return model;
}

Weights fastest_weights(const std::filesystem::path& folder, const hf::ModelConfig& config) {
  std::vector<Candidate> candidates;
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32})
    if (weights != Weights::bfloat16 || multiplies_bfloat16())
      candidates.push_back({weights, load_layer(Reader({folder}, weights, std::pmr::get_default_resource()),
                                                hf::layer_spec(config, 0))});
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
