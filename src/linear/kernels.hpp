// What the code outside the kernels knows of them: plain functions that take the best instruction set of the CPU.
#pragma once

#include <cstdint>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/linear/quantised_rows.hpp>

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
/// Blocks [begin, end) of all rows; no norm. False: a number is not finite, and rows are to be rounded one by one.
bool round_columns(const Rounding& rounding, std::int32_t begin, std::int32_t end);

}  // namespace anabranch::linear::impl
