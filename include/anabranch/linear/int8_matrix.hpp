// A weight matrix in 8-bit integers with one scale per output channel, and its product with quantised rows.
//
// Decoding a few rows costs as much as reading the weights, so it gets faster as weights get fewer bytes. The products
// are our own because of their bits: the sums inside a block are exact integers, and their scaling keeps one order. So
// a row's result is the same, bit for bit, whatever rows are beside it, on any number of threads, and with any
// instruction set that takes the same quantisation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>

#include <anabranch/linear/quantised_rows.hpp>
#include <anabranch/parallel_for.hpp>

namespace anabranch::linear {

/// The caller's weights.
struct FloatMatrix {
  const float* weights = nullptr;  ///< [out, in]
  const float* bias = nullptr;     ///< [out], or null
  std::int32_t out = 0, in = 0;
};

/// The function of a gate: x / (1 + e^-x), or GELU by its tanh formula (Hendrycks and Gimpel 2016),
/// x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
enum class Activation : std::uint8_t { silu, gelu_tanh };

/// Size and form of a packed matrix: enough to tell what its bytes mean.
struct PackedShape {
  std::int32_t out = 0, in = 0;  ///< channels and inputs; of gate and of up when gated
  bool gated = false;
  Quantisation quantisation = best_quantisation();
  Activation activation = Activation::silu;  ///< of the gate, when gated; the bytes do not depend on it

  bool operator==(const PackedShape&) const = default;
};

/// The matrix of a gated pair that rows belong to; a plain matrix has the first alone.
enum class Half : std::uint8_t { gate, up };

/// A matrix that is packed once, for rows of one quantisation, and only read afterwards. The weights of channel c are
/// scale_c * q with q in [-127, 127].
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
  /// All weights and biases are 0 until `pack_rows` puts some there, so that a large matrix is never whole in float32.
  explicit Int8Matrix(const PackedShape& shape, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  /// A matrix over the bytes that `packed()` of another one gave, in place: they are borrowed and must stand at an
  /// address that kAlignment divides. Throws bad_argument for another number of bytes, or another address.
  static Int8Matrix over(const PackedShape& shape, std::span<const std::byte> packed);
  Int8Matrix(Int8Matrix&&) noexcept;
  Int8Matrix& operator=(Int8Matrix&&) noexcept;
  ~Int8Matrix();

  /// Rounds and packs channels [first, first + rows.out), whose places must be new. Throws bad_argument as above, and
  /// for channels that the matrix does not have. Requires: not a matrix over borrowed bytes.
  void pack_rows(const FloatMatrix& rows, std::int32_t first, Half half = Half::gate);

  static constexpr std::size_t kAlignment = 64;
  PackedShape shape() const noexcept { return {out_, in_, gated_, quantisation_, activation_}; }
  /// Number of bytes of a matrix in this form.
  static std::size_t packed_bytes(const PackedShape& shape);
  /// All that the matrix is, in the form that kernels of its quantisation read.
  std::span<const std::byte> packed() const noexcept { return {reinterpret_cast<const std::byte*>(values_), bytes()}; }

  std::int32_t out() const noexcept { return out_; }  ///< channels of the product; of gate or of up when gated
  std::int32_t in() const noexcept { return in_; }
  bool gated() const noexcept { return gated_; }
  Activation activation() const noexcept { return activation_; }
  RowShape row_shape() const noexcept { return {in_, quantisation_}; }  ///< of the rows that it is multiplied with
  /// Bytes that one product reads.
  std::size_t bytes() const noexcept;
  /// Writes scale * q of one channel, [in]: a row of a tied embedding. Requires: not gated.
  void channel(std::int32_t index, float* weights) const;

  // For the kernels. Channels are packed in panels of kPanel, the last one filled up with zeros, and inside a panel in
  // groups of inputs. Per row: [n_panels][n_groups][kPanel][2] of q. Per block, half a panel after the other:
  // [n_panels][2][n_groups][kPanel / 2][4] of q + 128 (bytes without sign). Gated: a panel has 16 channels of gate and
  // the same 16 of up.
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
  void set_shape(const PackedShape& shape);
  void allocate(std::pmr::memory_resource* memory);
  void pack(const FloatMatrix& from, std::int32_t row, std::int32_t place);
  std::int64_t n_values() const noexcept;
  std::int64_t index_of(std::int32_t place, std::int32_t input) const noexcept;
  std::uint8_t zero() const noexcept {
    return quantisation_ == Quantisation::per_block ? 128 : 0;
  }  ///< the byte that stands for a weight of 0

  std::int32_t out_ = 0, in_ = 0, n_panels_ = 0;
  bool gated_ = false;
  Quantisation quantisation_ = Quantisation::per_row;
  Activation activation_ = Activation::silu;
  std::pmr::memory_resource* memory_ = nullptr;  ///< null: the bytes are borrowed, and only read
  std::uint8_t* values_ = nullptr;
  float* scales_ = nullptr;
};

/// Whether a product replaces the output or is added to it.
enum class Write : std::uint8_t { replace, add };

/// The results of row r go to first + r * stride, [matrix.out()]. The memory is the caller's; rows must not overlap.
struct ProductRows {
  float* first = nullptr;
  std::int64_t stride = 0;
  Write write = Write::replace;
};

/// out (+)= rows * matrix^T + bias; for a gated matrix out (+)= f(rows * gate^T + bias) * (rows * up^T + bias) with its
/// activation f.
/// Throws bad_argument, and has written nothing, when widths or quantisations differ or the stride is too small.
/// Allocates nothing. Panels are divided among the threads, as many together as one unit of the epilogue needs. The
/// epilogue runs on the columns that a thread has written, while other threads may still work on other columns.
void multiply(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
              const ParallelFor& parallel = {}, const Epilogue& epilogue = {});

/// Multiplies, and quantises `out` into `next` for the product after this one, with the bits of the two calls. Per
/// block both are one loop over the threads. Throws bad_argument also when next_shape.width is not matrix.out(), or
/// `next` is `rows`.
void multiply_and_round(const QuantisedRows& rows, const Int8Matrix& matrix, const ProductRows& out,
                        const RowShape& next_shape, QuantisedRows& next, const ParallelFor& parallel = {});

}  // namespace anabranch::linear
