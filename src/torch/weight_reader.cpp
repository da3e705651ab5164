#include "weight_reader.hpp"

#include <algorithm>
#include <array>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <anabranch/error.hpp>

namespace anabranch::torch {
namespace {

constexpr std::int32_t kPieceValues = 1 << 18;  ///< 1 MiB in float32

std::int32_t total_rows(std::span<const MatrixPart> parts) {
  std::int32_t rows = 0;
  for (const MatrixPart& part : parts) rows += part.rows.size();
  return rows;
}

at::Tensor tensor_over(const linear::FloatMatrix& rows) {
  return at::from_blob(const_cast<float*>(rows.weights), {rows.out, rows.in}, at::kFloat);
}

}  // namespace

WeightReader::WeightReader(const hf::ModelWeights& source, Weights weights, std::pmr::memory_resource* memory,
                           LoadReport& report)
    : source_(source), weights_(weights), memory_(memory), report_(&report) {}

void WeightReader::expect_all(const Shard& shard) const {
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
  report_->expect(total / shard.n_ranks);
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
void WeightReader::each_piece(const MatrixPart& part, Use&& use) {
  const hf::MatrixSpec& matrix = part.spec;
  const std::string name = matrix.weight();
  const hf::StoredTensor stored = source_.require(name, {matrix.out, matrix.in});
  const std::int32_t at_once = std::max(1, kPieceValues / std::max(1, matrix.in));
  for (std::int32_t first = 0; first < part.rows.size(); first += at_once) {
    const std::int32_t n = std::min(at_once, part.rows.size() - first);
    piece_.resize(static_cast<std::size_t>(n) * static_cast<std::size_t>(matrix.in));
    read(name, stored, piece_, part.rows.begin + first);
    report_->stage("packs");
    use(linear::FloatMatrix{piece_.data(), nullptr, n, matrix.in}, first);
    report_->add(static_cast<std::size_t>(stored.n_bytes() * n / matrix.out));
  }
}

/// Of the part's rows.
std::vector<float> WeightReader::bias(const MatrixPart& part) {
  const std::string name = part.spec.bias();
  const hf::StoredTensor stored = source_.require(name, {part.spec.out});
  std::vector<float> values(static_cast<std::size_t>(part.rows.size()));
  read(name, stored, values, part.rows.begin);
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
void WeightReader::each_biased_piece(const MatrixPart& part, Use&& use) {
  const std::vector<float> biases = part.spec.has_bias ? bias(part) : std::vector<float>{};
  each_piece(part, [&](linear::FloatMatrix rows, std::int32_t first) {
    if (part.spec.has_bias) rows.bias = biases.data() + first;
    use(rows, first);
  });
}

Projection WeightReader::projection(std::span<const MatrixPart> parts) {
  if (weights_ != Weights::int8) return {fused(parts, type()), fused_bias(parts, type())};
  linear::Int8Matrix packed(linear::PackedShape{.out = total_rows(parts), .in = parts.front().spec.in}, memory_);
  std::int32_t above = 0;
  for (const MatrixPart& part : parts) {
    ANABRANCH_ASSERT(part.columns.size() == part.spec.in);
    each_biased_piece(
        part, [&](const linear::FloatMatrix& rows, std::int32_t first) { packed.pack_rows(rows, above + first); });
    above += part.rows.size();
  }
  return Projection(std::move(packed));
}

Projection WeightReader::gated(const MatrixPart& gate, const MatrixPart& up, Activation activation) {
  const std::array both{gate, up};
  if (weights_ != Weights::int8) return {fused(both, type()), fused_bias(both, type()), activation};
  linear::Int8Matrix packed(
      linear::PackedShape{.out = gate.rows.size(), .in = gate.spec.in, .gated = true, .activation = activation},
      memory_);
  for (const linear::Half half : {linear::Half::gate, linear::Half::up})
    each_biased_piece(half == linear::Half::gate ? gate : up, [&](const linear::FloatMatrix& rows, std::int32_t first) {
      packed.pack_rows(rows, first, half);
    });
  return Projection(std::move(packed));
}

at::Tensor WeightReader::table(const MatrixPart& part) {
  return fused(std::span(&part, 1), weights_ == Weights::float32 ? at::kFloat : at::kBFloat16);
}

/// The weights below each other.
at::Tensor WeightReader::fused(std::span<const MatrixPart> parts, at::ScalarType type) {
  const Range& columns = parts.front().columns;
  at::Tensor out = at::empty({total_rows(parts), columns.size()}, type);
  std::int64_t above = 0;
  for (const MatrixPart& part : parts) {
    each_piece(part, [&](const linear::FloatMatrix& rows, std::int32_t first) {
      out.narrow(0, above + first, rows.out).copy_(tensor_over(rows).narrow(1, columns.begin, columns.size()));
    });
    above += part.rows.size();
  }
  return out;
}

/// Undefined without.
at::Tensor WeightReader::fused_bias(std::span<const MatrixPart> parts, at::ScalarType type) {
  if (!parts.front().spec.has_bias) return {};
  at::Tensor out = at::empty({total_rows(parts)}, type);
  std::int64_t above = 0;
  for (const MatrixPart& part : parts) {
    std::vector<float> values = bias(part);
    out.narrow(0, above, part.rows.size())
        .copy_(at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kFloat));
    above += part.rows.size();
  }
  return out;
}

}  // namespace anabranch::torch
