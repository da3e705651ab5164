// Reads a model's matrices out of its files, as an adapter changes them, and puts them into the runner's type.
//
// A matrix is read some rows at a time: never is more than one such part in memory in float32, and the file's pages are
// given back behind it. So a load takes little more memory than the weights that it makes.
#pragma once

#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/hf/layer_tensors.hpp>
#include <anabranch/hf/model_weights.hpp>
#include <anabranch/torch/load_options.hpp>

#include "load_report.hpp"
#include "projection.hpp"

namespace anabranch::torch {

class WeightReader {
 public:
  /// `weights` is not automatic. int8 matrices lie in `memory`. All that is passed must outlive it.
  WeightReader(const hf::ModelWeights& source, Weights weights, std::pmr::memory_resource* memory, LoadReport& report);

  /// Tells the report how many bytes all weights of the model have in its files.
  void expect_all() const;

  at::Tensor norm(const hf::NormSpec& norm);
  /// [rows, in] of the matrices below each other, which have the same `in` and all a bias or none.
  Projection projection(std::span<const hf::MatrixSpec> matrices);
  Projection projection(const hf::MatrixSpec& matrix) { return projection(std::span(&matrix, 1)); }
  /// Gate and up, as two matrices of one size, or as one of both.
  Projection gated(std::span<const hf::MatrixSpec> gate_up, Activation activation);
  /// Rows that are looked up, not multiplied: half the bytes are enough for int8.
  at::Tensor table(const hf::MatrixSpec& matrix);

 private:
  /// Calls use(FloatMatrix of some rows, number of the first of them) for all rows of the matrix, without its bias.
  template <class Use>
  void each_part(const hf::MatrixSpec& matrix, Use&& use);
  void read(const std::string& name, const hf::StoredTensor& stored, std::span<float> to, std::int32_t first);
  std::vector<float> bias(const hf::MatrixSpec& matrix);
  /// Calls use(FloatMatrix of some rows with their biases, number of the first of them) for the rows of all matrices,
  /// which stand below each other.
  template <class Use>
  void each_part_of(std::span<const hf::MatrixSpec> matrices, Use&& use);
  at::Tensor fused(std::span<const hf::MatrixSpec> matrices, at::ScalarType type);
  at::Tensor fused_bias(std::span<const hf::MatrixSpec> matrices, at::ScalarType type);
  at::ScalarType type() const noexcept { return weights_ == Weights::bfloat16 ? at::kBFloat16 : at::kFloat; }

  const hf::ModelWeights& source_;
  Weights weights_;
  std::pmr::memory_resource* memory_;
  LoadReport* report_;
  std::vector<float> part_;
};

}  // namespace anabranch::torch
