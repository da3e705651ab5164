// Reads a model's matrices out of its files, as an adapter changes them, and puts them into the runner's type.
//
// A matrix is read some rows at a time: never is more than one such piece in memory in float32, and the file's pages
// are given back behind it. So a load takes little more memory than the weights that it makes.
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
#include "shard.hpp"

namespace anabranch::torch {

/// Rows and columns of a stored matrix.
struct MatrixPart {
  hf::MatrixSpec spec;
  Range rows, columns;
};

class WeightReader {
 public:
  /// `weights` is not automatic. int8 matrices lie in `memory`. All that is passed must outlive it.
  WeightReader(const hf::ModelWeights& source, Weights weights, std::pmr::memory_resource* memory, LoadReport& report);

  /// Tells the report how many bytes the shard's weights have in the model's files, about.
  void expect_all(const Shard& shard) const;

  at::Tensor norm(const hf::NormSpec& norm);
  /// [rows, columns] of the parts below each other, which have the same columns and all a bias or none. With int8
  /// weights they have all columns, from which a row's scale follows.
  Projection projection(std::span<const MatrixPart> parts);
  Projection projection(const MatrixPart& part) { return projection(std::span(&part, 1)); }
  /// As many rows of both.
  Projection gated(const MatrixPart& gate, const MatrixPart& up, Activation activation);
  /// Rows that are looked up, not multiplied: half the bytes are enough for int8.
  at::Tensor table(const MatrixPart& part);

 private:
  /// Calls use(FloatMatrix of some rows, number of the first of them in the part) for all rows of the part, with all of
  /// their columns and without bias.
  template <class Use>
  void each_piece(const MatrixPart& part, Use&& use);
  void read(const std::string& name, const hf::StoredTensor& stored, std::span<float> to, std::int32_t first);
  std::vector<float> bias(const MatrixPart& part);
  /// Does the same with biases.
  template <class Use>
  void each_biased_piece(const MatrixPart& part, Use&& use);
  at::Tensor fused(std::span<const MatrixPart> parts, at::ScalarType type);
  at::Tensor fused_bias(std::span<const MatrixPart> parts, at::ScalarType type);
  at::ScalarType type() const noexcept { return weights_ == Weights::bfloat16 ? at::kBFloat16 : at::kFloat; }

  const hf::ModelWeights& source_;
  Weights weights_;
  std::pmr::memory_resource* memory_;
  LoadReport* report_;
  std::vector<float> piece_;
};

}  // namespace anabranch::torch
