// Activations of a pass's rows, rounded to integers: a row by its own magnitudes alone, so nothing that stands in
// another row can change it. Two quantisations, of which the CPU's instructions decide:
//
//   blocks  8-bit integers and a scale for every 32 of them. With VNNI a product of a few rows then costs little more
//           than reading the weights. SmolLM2's perplexity grows by 0.1 %, as much as with llama.cpp's Q8_0.
//   whole   16-bit integers and one scale. As large as exact sums allow: with weights of at most 127, products of
//   `width`
//           terms stay below 2^31 when no integer is larger than (2^31 - 1) / (127 * width): 14 bits up to 2,064 terms.
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

/// The quantisation that products are fastest with on this CPU; `simd::limit` counts.
Quantisation best_quantisation();

/// The form in which a product wants its rows.
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
  static constexpr std::int32_t kMaxWidth = 131072;  ///< 7 bits are left there of a whole row
  static constexpr std::int32_t kBlock = 32;

  QuantisedRows();
  QuantisedRows(QuantisedRows&&) noexcept;
  QuantisedRows& operator=(QuantisedRows&&) noexcept;
  ~QuantisedRows();

  /// Makes room; memory grows and is kept. Old content is lost. Throws bad_argument for a width outside
  /// [1, kMaxWidth] or a negative count.
  void resize(std::int32_t n_rows, const RowShape& shape);

  std::int32_t n_rows() const noexcept { return n_rows_; }
  std::int32_t width() const noexcept { return width_; }
  Quantisation quantisation() const noexcept { return quantisation_; }
  std::int32_t block_width() const noexcept { return quantisation_ == Quantisation::per_block ? kBlock : width_; }
  std::int32_t n_blocks() const noexcept { return (width_ + block_width() - 1) / block_width(); }
  /// One integer, and what one unit of it stands for. NaN: the block, or the whole row, had a NaN or an infinity.
  std::int32_t value(std::int32_t row, std::int32_t index) const noexcept;
  float scale(std::int32_t row, std::int32_t index) const noexcept { return scales(row)[index / block_width()]; }

  // For the kernels.
  /// From row to row, in bytes. Blocks are filled up with zeros; what lies behind the width of a whole row is
  /// undefined.
  std::int64_t stride() const noexcept { return stride_; }
  std::byte* row(std::int32_t index) noexcept { return values_.get() + index * stride_; }
  const std::byte* row(std::int32_t index) const noexcept { return values_.get() + index * stride_; }
  float* scales(std::int32_t row) noexcept { return scales_.get() + std::int64_t{row} * n_blocks(); }  ///< [n_blocks]
  const float* scales(std::int32_t row) const noexcept { return scales_.get() + std::int64_t{row} * n_blocks(); }
  /// [n_blocks] -128 * sum of the block's integers: what a sum begins with whose weights are 128 too large. Blocks
  /// only.
  std::int32_t* starts(std::int32_t row) noexcept { return starts_.get() + std::int64_t{row} * n_blocks(); }
  const std::int32_t* starts(std::int32_t row) const noexcept { return starts_.get() + std::int64_t{row} * n_blocks(); }

 private:
  struct Free {
    void operator()(void* memory) const noexcept;
  };
  template <class T>
  using Array = std::unique_ptr<T[], Free>;

  Array<std::byte> values_;         ///< [n_rows, stride]
  Array<float> scales_;             ///< [n_rows, n_blocks]
  Array<std::int32_t> starts_;      ///< [n_rows, n_blocks]
  std::size_t room_ = 0;            ///< bytes
  std::size_t room_of_blocks_ = 0;  ///< scales, and starts
  std::int32_t n_rows_ = 0, width_ = 0;
  Quantisation quantisation_ = Quantisation::per_row;
  std::int64_t stride_ = 0;
};

// All of these but round_rows resize `out` to in.n_rows rows of `shape`, round to nearest even, and use the caller's
// threads when there is enough to do. A block (or a whole row) with a NaN or an infinity becomes zeros with the scale
// NaN, so that the row's products are NaN; one whose largest magnitude is below 1e-30 becomes zeros with the scale 0.

/// Rounds the rows of `in`.
void quantise(const FloatRows& in, const RowShape& shape, QuantisedRows& out, const ParallelFor& parallel = {});

/// The same by parts, of rows that others may still be writing: once begin_rounding, then round_rows for each part,
/// from any thread. in: `out.n_rows()` rows.
void begin_rounding(std::int32_t n_rows, const RowShape& shape, QuantisedRows& out);
void round_rows(const FloatRows& in, std::int32_t begin, std::int32_t end, QuantisedRows& out);

/// Rounds x / sqrt(mean(x^2) + epsilon) * weight (root mean square norm, Zhang and Sennrich 2019). weight: [width].
void rms_norm_quantise(const FloatRows& in, const float* weight, float epsilon, const RowShape& shape,
                       QuantisedRows& out, const ParallelFor& parallel = {});

}  // namespace anabranch::linear
