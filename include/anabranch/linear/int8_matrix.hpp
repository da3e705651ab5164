// A weight matrix in 8-bit integers with one scale per output channel, and its product with quantised rows.
//
// Why: decoding a few rows costs what reading the weights costs, so fewer bytes are the whole gain. Why of our own:
// sums of a row's blocks here are exact integers and their scaling keeps one order, so a row's result is the same, bit
// for bit, whatever rows stand beside it, on any number of threads and with any instruction set that has rows of the
// same quantisation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>

#include <anabranch/linear/quantised_rows.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::linear {

/// Weights as the caller has them.
struct FloatMatrix {
  const float* weights = nullptr;  ///< [out, in]
  const float* bias = nullptr;     ///< [out], or null
  std::int32_t out = 0, in = 0;
};

/// Packed once for rows of one quantisation, read-only afterwards. Channel c's weights are scale_c * q with q in [-127,
/// 127].
class Int8Matrix {
 public:
  Int8Matrix() noexcept = default;
  /// Rounds to nearest even, scale = largest magnitude of the channel / 127. Throws bad_argument for an impossible
  /// size, or a weight that is NaN or infinite. `memory` must outlive the matrix.
  explicit Int8Matrix(const FloatMatrix& from, std::pmr::memory_resource* memory = std::pmr::get_default_resource(),
                      Quantisation quantisation = best_quantisation());
  /// Two matrices of one size whose product with x is silu(gate x) * (up x): the first half of a gated FFN.
  Int8Matrix(const FloatMatrix& gate, const FloatMatrix& up,
             std::pmr::memory_resource* memory = std::pmr::get_default_resource(),
             Quantisation quantisation = best_quantisation());
  Int8Matrix(Int8Matrix&&) noexcept;
  Int8Matrix& operator=(Int8Matrix&&) noexcept;
  ~Int8Matrix();

  std::int32_t out() const noexcept { return out_; }  ///< channels of the product; of gate or of up when gated
  std::int32_t in() const noexcept { return in_; }
  bool gated() const noexcept { return gated_; }
  RowShape row_shape() const noexcept { return {in_, quantisation_}; }  ///< of the rows that it can be multiplied with
  /// Memory that one product reads.
  std::size_t bytes() const noexcept;
  /// scale * q of one channel: [in]. For matrices that are not gated: rows of a tied embedding.
  void channel(std::int32_t index, float* weights) const;

  // For the kernels. Channels stand in panels of kPanel, the last one filled up with zeros; inside a panel come groups
  // of inputs: [n_panels][n_groups][kPanel][2] pairs of q for whole rows, and half by half, for rows in blocks,
  // [n_panels][2][n_groups][kPanel / 2][4] of q + 128 (bytes without sign). Gated: 16 channels of gate and the same 16
  // of up in one panel.
  static constexpr std::int32_t kPanel = 32;
  std::int32_t n_panels() const noexcept { return n_panels_; }
  std::int32_t panel_width() const noexcept { return gated_ ? kPanel / 2 : kPanel; }  ///< results of one panel
  std::int32_t group() const noexcept { return quantisation_ == Quantisation::per_block ? 4 : 2; }
  std::int32_t n_groups() const noexcept { return (in_ + group() - 1) / group(); }
  const std::uint8_t* panel(std::int32_t index) const noexcept {
    return values_ + std::int64_t{index} * n_groups() * kPanel * group();
  }
  const float* scales() const noexcept { return scales_; }                     ///< [n_panels * kPanel]
  const float* bias() const noexcept { return scales_ + n_panels_ * kPanel; }  ///< [n_panels * kPanel]

 private:
  void allocate(std::pmr::memory_resource* memory);
  void pack(const FloatMatrix& from, std::int32_t row, std::int32_t place);
  std::int64_t index_of(std::int32_t place, std::int32_t input) const noexcept;
  int zero() const noexcept {
    return quantisation_ == Quantisation::per_block ? 128 : 0;
  }  ///< how a weight of 0 is stored
  std::size_t allocated() const noexcept;

  std::int32_t out_ = 0, in_ = 0, n_panels_ = 0;
  bool gated_ = false;
  Quantisation quantisation_ = Quantisation::per_row;
  std::pmr::memory_resource* memory_ = nullptr;
  std::uint8_t* values_ = nullptr;
  float* scales_ = nullptr;
};

/// Says whether a product replaces the output or is added to it.
enum class Write : std::uint8_t { replace, add };

/// Row r's results go to first + r * stride, [matrix.out()] each. The caller's memory; rows must not overlap.
struct ProductRows {
  float* first = nullptr;
  std::int64_t stride = 0;
  Write write = Write::replace;
};

/// out (+)= rows * matrix^T + bias; for a gated matrix out (+)= silu(rows * gate^T + bias) * (rows * up^T + bias).
/// Throws bad_argument, and has written nothing, when widths or forms differ or the stride is too small.
/// Allocates nothing. Work is split over the threads by panels, as many together as one unit of `epilogue` needs.
/// `epilogue` follows on the columns that a thread has written, before the others may be done.
void multiply(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
              const ParallelFor& parallel = {}, const Epilogue& epilogue = {});

/// multiply, then quantise `out` into `next`, for the product after this one: the same bits. Rows in blocks take one
/// trip to the threads for both. Throws bad_argument also when next_shape.width is not matrix.out(), or `next` is
/// `rows`.
void multiply_and_round(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
                        const RowShape& next_shape, QuantisedRows& next, const ParallelFor& parallel = {});

}  // namespace anabranch::linear
