// A tensor that is not stored as its rows of floats: read row by row as float32.
#pragma once

#include <cstdint>
#include <span>

namespace anabranch::hf::impl {

class StoredRows {
 public:
  virtual ~StoredRows() = default;
  virtual std::span<const std::int64_t> shape() const noexcept = 0;  ///< as floats: a matrix is [out, in]
  /// Whole rows, beginning with row `first`. A vector has rows of one value.
  virtual void read(std::int64_t first, std::span<float> rows) const = 0;
};

}  // namespace anabranch::hf::impl
