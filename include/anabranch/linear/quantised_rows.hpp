// Activations of a pass's rows, rounded to 16-bit integers with one scale per row.
//
// A row is rounded by its own largest magnitude alone, so nothing that stands in another row can change it. The
// integers are as large as exact sums allow: with weights of at most 127, products of `width` terms stay below 2^31
// when no integer is larger than (2^31 - 1) / (127 * width), which is 14 bits or more up to a width of 2,064.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <anabranch/parallel_for.hpp>

namespace anabranch::linear {

/// Rows of float32, `stride` floats apart; the caller's memory.
struct FloatRows {
  const float* first = nullptr;
  std::int64_t stride = 0;
  std::int32_t n_rows = 0;
};

class QuantisedRows {
 public:
  /// Largest magnitude of an integer in rows of this width.
  static constexpr std::int32_t limit(std::int32_t width) noexcept {
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(32767, std::int64_t{2147483647} / (127 * std::int64_t{std::max(width, 1)})));
  }
  static constexpr std::int32_t kMaxWidth = 131072;  ///< 7 bits are left there

  QuantisedRows();
  QuantisedRows(QuantisedRows&&) noexcept;
  QuantisedRows& operator=(QuantisedRows&&) noexcept;
  ~QuantisedRows();

  /// Makes room; memory grows and is kept. Old content is lost. Throws bad_argument for a width outside
  /// [1, kMaxWidth] or a negative count.
  void resize(std::int32_t n_rows, std::int32_t width);

  std::int32_t n_rows() const noexcept { return n_rows_; }
  std::int32_t width() const noexcept { return width_; }
  /// From row to row, in integers. What lies between the width, rounded up to even, and the stride is undefined.
  std::int64_t stride() const noexcept { return stride_; }
  std::int16_t* row(std::int32_t index) noexcept { return values_.get() + index * stride_; }
  const std::int16_t* row(std::int32_t index) const noexcept { return values_.get() + index * stride_; }
  /// [n_rows]: what one unit of the row's integers stands for. NaN: the row had a NaN or an infinity.
  float* scales() noexcept { return scales_.get(); }
  const float* scales() const noexcept { return scales_.get(); }

 private:
  struct Free {
    void operator()(void* memory) const noexcept;
  };
  std::unique_ptr<std::int16_t[], Free> values_;  ///< [n_rows, stride]
  std::unique_ptr<float[], Free> scales_;
  std::size_t room_ = 0;        ///< integers
  std::int32_t room_rows_ = 0;  ///< scales
  std::int32_t n_rows_ = 0, width_ = 0;
  std::int64_t stride_ = 0;
};

// All of these resize `out` to in.n_rows rows of `width`, round to nearest even, and use the caller's threads when
// there is enough to do. A row with a NaN or an infinity becomes zeros with the scale NaN, so that its products are
// NaN; one whose largest magnitude is below 1e-30 becomes zeros with the scale 0.

/// Rounds the rows of `in`.
void quantise(const FloatRows& in, std::int32_t width, QuantisedRows& out, const ParallelFor& parallel = {});

/// Rounds x / sqrt(mean(x^2) + epsilon) * weight (root mean square norm, Zhang and Sennrich 2019). weight: [width].
void rms_norm_quantise(const FloatRows& in, const float* weight, float epsilon, std::int32_t width, QuantisedRows& out,
                       const ParallelFor& parallel = {});

}  // namespace anabranch::linear
