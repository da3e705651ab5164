// Activations of a pass's rows, rounded to integers with scales. A row's integers depend on that row alone, so nothing
// in another row can change them. There are two quantisations, and the CPU's instructions decide between them:
//
//   per_block  8-bit integers, and a scale for every 32 of them. With VNNI a product of a few rows then costs little
//   more
//              than reading the weights. SmolLM2's perplexity grows by 0.1 %, as much as with llama.cpp's Q8_0.
//   per_row    16-bit integers, and one scale for the row. Their limit keeps sums exact: weights are at most 127, so a
//              sum of `width` products stays below 2^31 when no integer is larger than (2^31 - 1) / (127 * width); that
//              is 14 bits up to 2,064 products.
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

enum class Quantisation : std::uint8_t { per_row, per_block };

/// The quantisation with the fastest products on this CPU, as far as simd::limit allows its instructions.
Quantisation best_quantisation();

/// The rows that a product takes.
struct RowShape {
  std::int32_t width = 0;
  Quantisation quantisation = best_quantisation();
};

class QuantisedRows {
 public:
  /// Largest magnitude of an integer in rows of this width and quantisation.
  static constexpr std::int32_t limit(Quantisation quantisation, std::int32_t width) noexcept {
    if (quantisation == Quantisation::per_block) return 127;
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(32767, std::int64_t{2147483647} / (127 * std::int64_t{std::max(width, 1)})));
  }
  static constexpr std::int32_t kMaxWidth = 131072;  ///< an integer per row still has 7 bits there
  static constexpr std::int32_t kBlock = 32;

  QuantisedRows();
  QuantisedRows(QuantisedRows&&) noexcept;
  QuantisedRows& operator=(QuantisedRows&&) noexcept;
  ~QuantisedRows();

  /// Makes room for rows; the old content is lost. Memory grows and is kept. Throws bad_argument for a width outside
  /// [1, kMaxWidth] or a negative count.
  void resize(std::int32_t n_rows, const RowShape& shape);

  std::int32_t n_rows() const noexcept { return n_rows_; }
  std::int32_t width() const noexcept { return width_; }
  Quantisation quantisation() const noexcept { return quantisation_; }
  std::int32_t block_width() const noexcept { return quantisation_ == Quantisation::per_block ? kBlock : width_; }
  std::int32_t n_blocks() const noexcept { return (width_ + block_width() - 1) / block_width(); }
  /// One integer, and its scale. The scale is NaN where the block (per row: the row) had a NaN or an infinity.
  std::int32_t value(std::int32_t row, std::int32_t index) const noexcept;
  float scale(std::int32_t row, std::int32_t index) const noexcept { return scales(row)[index / block_width()]; }

  // For the kernels.
  /// Bytes from row to row. Per block, the last block is filled up with zeros; per row, the bytes behind the width are
  /// undefined.
  std::int64_t stride() const noexcept { return stride_; }
  std::byte* row(std::int32_t index) noexcept { return values_.get() + index * stride_; }
  const std::byte* row(std::int32_t index) const noexcept { return values_.get() + index * stride_; }
  float* scales(std::int32_t row) noexcept { return scales_.get() + std::int64_t{row} * n_blocks(); }  ///< [n_blocks]
  const float* scales(std::int32_t row) const noexcept { return scales_.get() + std::int64_t{row} * n_blocks(); }
  /// [n_blocks] -128 * sum of the block's integers, which a sum begins with because the stored weights are 128 too
  /// large. Per block only.
  std::int32_t* starts(std::int32_t row) noexcept { return starts_.get() + std::int64_t{row} * n_blocks(); }
  const std::int32_t* starts(std::int32_t row) const noexcept { return starts_.get() + std::int64_t{row} * n_blocks(); }

 private:
  struct Free {
    void operator()(void* memory) const noexcept;
  };
  template <class T>
  using Array = std::unique_ptr<T[], Free>;

  Array<std::byte> values_;          ///< [n_rows, stride]
  Array<float> scales_;              ///< [n_rows, n_blocks]
  Array<std::int32_t> starts_;       ///< [n_rows, n_blocks]
  std::int64_t room_ = 0;            ///< bytes
  std::int64_t room_of_blocks_ = 0;  ///< scales, and starts
  std::int32_t n_rows_ = 0, width_ = 0;
  Quantisation quantisation_ = Quantisation::per_row;
  std::int64_t stride_ = 0;
};

// All functions round to nearest even. All but round_rows resize `out` to the number of rows and the shape; those with
// `parallel` use the caller's threads when there is enough work. A block (per row: a row) with a NaN or an infinity
// becomes zeros with the scale NaN, so that the row's products are NaN; one whose largest magnitude is below 1e-30
// becomes zeros with the scale 0.

/// Rounds the rows of `in`.
void quantise(const FloatRows& in, const RowShape& shape, QuantisedRows& out, const ParallelFor& parallel = {});

/// The same part by part, while other threads still write other rows: call begin_rounding once, then round_rows for
/// each part, from any thread. in: `out.n_rows()` rows.
void begin_rounding(std::int32_t n_rows, const RowShape& shape, QuantisedRows& out);
void round_rows(const FloatRows& in, std::int32_t begin, std::int32_t end, QuantisedRows& out);

/// Rounds x / sqrt(mean(x^2) + epsilon) * weight (root mean square norm, Zhang and Sennrich 2019). weight: [width].
void rms_norm_quantise(const FloatRows& in, const float* weight, float epsilon, const RowShape& shape,
                       QuantisedRows& out, const ParallelFor& parallel = {});

}  // namespace anabranch::linear
