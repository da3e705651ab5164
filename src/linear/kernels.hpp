// The kernels as plain functions, which take the best instruction set of the CPU.
#pragma once

#include <cstdint>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/linear/quantised_rows.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::linear::impl {

/// The arguments of one product, checked.
struct Product {
  const QuantisedRows* rows = nullptr;
  const Int8Matrix* matrix = nullptr;
  ProductRows out;
  bool vnni = false;  ///< vpdpbusd may be used
};

/// Multiplies all rows with panels [begin, end).
void multiply_panels(const Product& product, std::int32_t begin, std::int32_t end);

/// The arguments of one rounding; `weight` null: without a norm.
struct Rounding {
  FloatRows in;
  const float* weight = nullptr;
  float epsilon = 0;
  QuantisedRows* out = nullptr;  ///< sized
};

/// Rounds rows [begin, end).
void round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end);
/// Rounds columns [begin, end) of all rows, per block, without a norm. `begin` is the first column of a block, `end`
/// too, or the width.
void round_columns(const Rounding& rounding, std::int32_t begin, std::int32_t end);

/// Checks the arguments and resizes `out`.
Rounding prepare_rounding(const FloatRows& in, const RowShape& shape, const float* weight, float epsilon,
                          QuantisedRows& out);
void round(const Rounding& rounding, const ParallelFor& parallel);

}  // namespace anabranch::linear::impl
