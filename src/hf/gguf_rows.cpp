#include "gguf_rows.hpp"

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {

GgufRows::GgufRows(const Tensor& tensor) : tensor_(tensor) {
  ANABRANCH_ASSERT(tensor.gguf && !tensor.shape.empty() && tensor.shape.size() <= 2);
  if (tensor.shape.size() == 2) width_ = tensor.shape[1];
  row_bytes_ = tensor.bytes.size() / static_cast<std::size_t>(tensor.shape[0]);
}

std::int64_t GgufRows::stored_row(std::int64_t row) const noexcept {
  const std::int64_t d = tensor_.shape[0] / tensor_.gguf->paired_heads, in_head = row % d;
  return row - in_head + 2 * (in_head % (d / 2)) + in_head / (d / 2);
}

void GgufRows::read(std::int64_t first, std::span<float> rows) const {
  const GgufStorage& storage = *tensor_.gguf;
  const std::int64_t n = std::ssize(rows) / width_;
  ANABRANCH_ASSERT(first >= 0 && n * width_ == std::ssize(rows) && first <= tensor_.shape[0] - n);
  const auto bytes_of = [&](std::int64_t row, std::int64_t count) {
    return tensor_.bytes.subspan(static_cast<std::size_t>(row) * row_bytes_,
                                 static_cast<std::size_t>(count) * row_bytes_);
  };
  if (storage.paired_heads == 0) {
    read_blocks(*storage.type, bytes_of(first, n), rows);
    Weights::forget(bytes_of(first, n));
  } else {
    const auto width = static_cast<std::size_t>(width_);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto bytes = bytes_of(stored_row(first + i), 1);
      read_blocks(*storage.type, bytes, rows.subspan(static_cast<std::size_t>(i) * width, width));
    }
    if (first + n == tensor_.shape[0]) Weights::forget(tensor_.bytes);
  }
  if (storage.added != 0.0f)
    for (float& value : rows) value += storage.added;
}

}  // namespace anabranch::hf::impl
