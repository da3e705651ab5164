// The kernels as the code outside knows them: plain functions that take the best instruction set of the CPU.
#pragma once

#include <cstdint>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/linear/quantised_rows.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::linear::impl {

/// One product; checked.
struct Product {
  const QuantisedRows* rows = nullptr;
  const Int8Matrix* matrix = nullptr;
  ProductRows out;
  bool vnni = false;  ///< vpdpbusd may be used
};

/// All rows, panels [begin, end).
void multiply_panels(const Product& product, std::int32_t begin, std::int32_t end);

/// Rows to be rounded; `weight` null: as they are, else after the norm.
struct Rounding {
  FloatRows in;
  const float* weight = nullptr;
  float epsilon = 0;
  QuantisedRows* out = nullptr;  ///< sized
};

/// Rows [begin, end).
void round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end);
/// Columns [begin, end) of all rows in blocks, no norm; `begin` is a block's first, `end` a block's or the last.
void round_columns(const Rounding& rounding, std::int32_t begin, std::int32_t end);

/// Checks, and makes room.
Rounding prepare_rounding(const FloatRows& in, const RowShape& shape, const float* weight, float epsilon,
                          QuantisedRows& out);
void round(const Rounding& rounding, const ParallelFor& parallel);

}  // namespace anabranch::linear::impl
