// The rows of a GGUF file's tensor, as floats and in the order that a folder has them in.
#pragma once

#include <anabranch/hf/safetensors.hpp>

#include "gguf_blocks.hpp"
#include "stored_rows.hpp"

namespace anabranch::hf::impl {

class GgufRows final : public StoredRows {
 public:
  /// Requires: `tensor.gguf` is set, and the shape is that of a matrix or vector.
  explicit GgufRows(const Tensor& tensor);

  std::span<const std::int64_t> shape() const noexcept override { return tensor_.shape; }
  void read(std::int64_t first, std::span<float> rows) const override;

 private:
  /// The row of the file that holds a row of the folder.
  std::int64_t stored_row(std::int64_t row) const noexcept;

  Tensor tensor_;
  std::int64_t width_ = 1;  ///< values of a row
  std::size_t row_bytes_ = 0;
};

}  // namespace anabranch::hf::impl
