// The products of a layer: a weight matrix in one of the runner's types, applied to float32 rows.
//
// int8 is our own product (anabranch::linear), whose rows do not touch each other; float32 and bfloat16 are LibTorch's.
// The product also applies the norm before it and the gate of the feed-forward behind it, because int8 fuses the norm
// with its rounding and the gate with its scaling.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/linear/quantised_rows.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::torch {

using linear::Activation;
using linear::FloatRows;
using linear::ProductRows;
using linear::Write;

/// Root mean square norm of a product's input. A null weight means no norm.
struct InputNorm {
  const float* weight = nullptr;
  float epsilon = 0;
};

class Projection;

/// Memory that products need beside their operands; it grows, and is kept from pass to pass.
struct ProductScratch {
  linear::QuantisedRows rows, next_rows;
  bool rounded = false;       ///< `rows` is already the next product's input
  std::vector<float> normed;  ///< [n_rows, in]
};

/// The step after a product: an epilogue on its columns, or the next product, which takes its result as it is.
struct AfterProduct {
  Epilogue columns;
  const Projection* next = nullptr;
};

class Projection {
 public:
  Projection() = default;
  /// weight: [out, in], float32 or bfloat16; bias: [out], same type, or undefined. Where LibTorch has oneDNN the weight
  /// is kept in its blocked layout, whose products cost nearly the same for 1 and for 8 rows. With a gate's activation
  /// f weight holds gate, then up, and the result is f(gate x) * (up x).
  Projection(at::Tensor weight, at::Tensor bias, std::optional<Activation> gate = {});
  explicit Projection(linear::Int8Matrix matrix) : int8_(std::move(matrix)) {}

  /// out (+)= norm(in) W^T + b. LibTorch's products allocate their result; int8 allocates nothing. With int8 each
  /// thread runs the step after the product on the columns that it wrote itself, in the same loop.
  void run(const FloatRows& in, const InputNorm& norm, const ProductRows& out, ProductScratch& scratch,
           const ParallelFor& parallel, const AfterProduct& after = {}) const;

  /// Prepares scratch.rows for an input that the caller rounds part by part, with linear::round_rows, before the next
  /// run. Returns false, and does nothing, when this projection takes its input unrounded.
  bool begin_input(std::int32_t n_rows, ProductScratch& scratch) const;

  /// Bytes of weights that a product reads.
  std::int64_t bytes() const noexcept;
  /// The int8 weights, else of zero size: rows of a tied embedding.
  const linear::Int8Matrix& int8() const noexcept { return int8_; }

 private:
  at::Tensor product(const FloatRows& in, const InputNorm& norm, ProductScratch& scratch) const;

  linear::Int8Matrix int8_;
  at::Tensor weight_;  ///< opaque when packed_
  at::Tensor bias_;
  at::ScalarType type_ = at::kFloat;
  std::int64_t in_ = 0, bytes_ = 0;
  bool packed_ = false;
  std::optional<Activation> gate_;
};

}  // namespace anabranch::torch
