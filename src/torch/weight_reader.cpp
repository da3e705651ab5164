#include "weight_reader.hpp"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

namespace anabranch::torch {
namespace {

constexpr std::int32_t kPartValues = 1 << 18;  ///< 1 MiB in float32

std::int64_t total_rows(std::span<const hf::MatrixSpec> matrices) {
  std::int64_t rows = 0;
  for (const hf::MatrixSpec& matrix : matrices) rows += matrix.out;
  return rows;
}

at::Tensor tensor_over(const linear::FloatMatrix& rows) {
  return at::from_blob(const_cast<float*>(rows.weights), {rows.out, rows.in}, at::kFloat);
}

}  // namespace

WeightReader::WeightReader(const hf::ModelWeights& source, Weights weights, std::pmr::memory_resource* memory,
                           LoadReport& report)
    : source_(source), weights_(weights), memory_(memory), report_(&report) {}

void WeightReader::expect_all() const {
  const hf::ModelConfig& config = source_.config();
  std::int64_t total = 0;
  const auto count = [&](const std::string& name) { total += source_.stored_bytes(name); };
  const auto matrix = [&](const hf::MatrixSpec& spec) {
    count(spec.weight());
    if (spec.has_bias) count(spec.bias());
  };
  for (std::int32_t index = 0; index < config.n_layers; ++index) {
    const hf::LayerSpec layer = hf::layer_spec(config, index);
    for (const hf::MatrixSpec* spec : layer.matrices()) matrix(*spec);
  }
  matrix(hf::head_spec(config));
  if (!config.tied_embeddings || weights_ != Weights::int8) matrix(hf::embedding_spec(config));
  report_->expect(total);
}

/// Reads some rows as the adapter has them.
void WeightReader::read(const std::string& name, const hf::StoredTensor& stored, std::span<float> to,
                        std::int32_t first) {
  report_->stage("reads");
  stored.read(first, to);
  if (!source_.is_changed(name)) return;
  report_->stage("merges the adapter");
  source_.change(name, to, first);
}

template <class Use>
void WeightReader::each_part(const hf::MatrixSpec& matrix, Use&& use) {
  const std::string name = matrix.weight();
  const hf::StoredTensor stored = source_.require(name, {matrix.out, matrix.in});
  const std::int32_t at_once = std::max(1, kPartValues / std::max(1, matrix.in));
  for (std::int32_t first = 0; first < matrix.out; first += at_once) {
    const std::int32_t n = std::min(at_once, matrix.out - first);
    part_.resize(static_cast<std::size_t>(n) * static_cast<std::size_t>(matrix.in));
    read(name, stored, part_, first);
    report_->stage("packs");
    use(linear::FloatMatrix{part_.data(), nullptr, n, matrix.in}, first);
    report_->add(static_cast<std::size_t>(stored.n_bytes() * n / matrix.out));
  }
}

std::vector<float> WeightReader::bias(const hf::MatrixSpec& matrix) {
  const hf::StoredTensor stored = source_.require(matrix.bias(), {matrix.out});
  std::vector<float> values(static_cast<std::size_t>(matrix.out));
  read(matrix.bias(), stored, values, 0);
  report_->add(static_cast<std::size_t>(stored.n_bytes()));
  return values;
}

at::Tensor WeightReader::norm(const hf::NormSpec& norm) {
  at::Tensor out = at::empty({norm.size}, at::kFloat);
  const hf::StoredTensor stored = source_.require(norm.name, {norm.size});
  const std::span<float> factors(out.data_ptr<float>(), static_cast<std::size_t>(norm.size));
  read(norm.name, stored, factors, 0);
  if (norm.offset != 0)
    for (float& factor : factors) factor += norm.offset;
  return out;
}

template <class Use>
void WeightReader::each_part_of(std::span<const hf::MatrixSpec> matrices, Use&& use) {
  std::int32_t above = 0;
  for (const hf::MatrixSpec& matrix : matrices) {
    const std::vector<float> biases = matrix.has_bias ? bias(matrix) : std::vector<float>{};
    each_part(matrix, [&](linear::FloatMatrix rows, std::int32_t first) {
      if (matrix.has_bias) rows.bias = biases.data() + first;
      use(rows, above + first);
    });
    above += matrix.out;
  }
}

Projection WeightReader::projection(std::span<const hf::MatrixSpec> matrices) {
  if (weights_ != Weights::int8) return {fused(matrices, type()), fused_bias(matrices, type())};
  linear::Int8Matrix packed(
      linear::PackedShape{.out = static_cast<std::int32_t>(total_rows(matrices)), .in = matrices.front().in}, memory_);
  each_part_of(matrices, [&](const linear::FloatMatrix& rows, std::int32_t first) { packed.pack_rows(rows, first); });
  return Projection(std::move(packed));
}

Projection WeightReader::gated(std::span<const hf::MatrixSpec> gate_up, Activation activation) {
  if (weights_ != Weights::int8) return {fused(gate_up, type()), fused_bias(gate_up, type()), activation};
  const auto half = static_cast<std::int32_t>(total_rows(gate_up) / 2);
  linear::Int8Matrix packed(
      linear::PackedShape{.out = half, .in = gate_up.front().in, .gated = true, .activation = activation}, memory_);
  each_part_of(gate_up, [&](const linear::FloatMatrix& rows, std::int32_t first) {
    const std::int32_t n_gate = std::clamp(half - first, 0, rows.out);
    if (n_gate > 0) packed.pack_rows({rows.weights, rows.bias, n_gate, rows.in}, first, linear::Half::gate);
    if (n_gate == rows.out) return;
    const float* const bias = rows.bias != nullptr ? rows.bias + n_gate : nullptr;
    packed.pack_rows({rows.weights + std::ptrdiff_t{n_gate} * rows.in, bias, rows.out - n_gate, rows.in},
                     first + n_gate - half, linear::Half::up);
  });
  return Projection(std::move(packed));
}

at::Tensor WeightReader::table(const hf::MatrixSpec& matrix) {
  return fused(std::span(&matrix, 1), weights_ == Weights::float32 ? at::kFloat : at::kBFloat16);
}

/// The weights below each other.
at::Tensor WeightReader::fused(std::span<const hf::MatrixSpec> matrices, at::ScalarType type) {
  at::Tensor out = at::empty({total_rows(matrices), matrices.front().in}, type);
  std::int64_t above = 0;
  for (const hf::MatrixSpec& matrix : matrices) {
    each_part(matrix, [&](const linear::FloatMatrix& rows, std::int32_t first) {
      out.narrow(0, above + first, rows.out).copy_(tensor_over(rows));
    });
    above += matrix.out;
  }
  return out;
}

/// Undefined without.
at::Tensor WeightReader::fused_bias(std::span<const hf::MatrixSpec> matrices, at::ScalarType type) {
  if (!matrices.front().has_bias) return {};
  at::Tensor out = at::empty({total_rows(matrices)}, type);
  std::int64_t above = 0;
  for (const hf::MatrixSpec& matrix : matrices) {
    std::vector<float> values = bias(matrix);
    out.narrow(0, above, matrix.out).copy_(at::from_blob(values.data(), {matrix.out}, at::kFloat));
    above += matrix.out;
  }
  return out;
}

}  // namespace anabranch::torch
