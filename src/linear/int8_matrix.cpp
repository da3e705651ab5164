#include <anabranch/linear/int8_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::linear {
namespace {

constexpr std::int32_t kMaxChannels = 1 << 24;
constexpr float kSmallest = 1e-30f;  ///< a channel with no larger weight is stored as zeros

void check(const PackedShape& shape) {
  if (shape.out < 1 || shape.out > kMaxChannels)
    fail(Status::bad_argument, "a matrix of ", shape.out, " channels; it must have 1 to ", kMaxChannels);
  if (shape.in < 1 || shape.in > QuantisedRows::kMaxWidth)
    fail(Status::bad_argument, "a matrix of ", shape.in, " inputs; it must have 1 to ", QuantisedRows::kMaxWidth);
}

void check_finite(const FloatMatrix& from, std::int32_t first) {
  const std::int64_t n = std::int64_t{from.out} * from.in;
  const float* bad = std::find_if_not(from.weights, from.weights + n, [](float w) { return std::isfinite(w); });
  if (bad != from.weights + n)
    fail(Status::bad_argument, "the weight of channel ", first + (bad - from.weights) / from.in, ", input ",
         (bad - from.weights) % from.in, " is ", *bad);
}

}  // namespace

Int8Matrix::Int8Matrix(const PackedShape& shape, std::pmr::memory_resource* memory) {
  set_shape(shape);
  allocate(memory);
}

Int8Matrix::Int8Matrix(const FloatMatrix& from, std::pmr::memory_resource* memory, Quantisation quantisation)
    : Int8Matrix(PackedShape{.out = from.out, .in = from.in, .quantisation = quantisation}, memory) {
  pack_rows(from, 0);
}

Int8Matrix::Int8Matrix(const FloatMatrix& gate, const FloatMatrix& up, std::pmr::memory_resource* memory,
                       Quantisation quantisation)
    : Int8Matrix(PackedShape{.out = gate.out, .in = gate.in, .gated = true, .quantisation = quantisation}, memory) {
  if (gate.out != up.out || gate.in != up.in)
    fail(Status::bad_argument, "a gate of ", gate.out, " x ", gate.in, " beside a matrix of ", up.out, " x ", up.in);
  pack_rows(gate, 0, Half::gate);
  pack_rows(up, 0, Half::up);
}

Int8Matrix Int8Matrix::over(const PackedShape& shape, std::span<const std::byte> packed) {
  Int8Matrix matrix;
  matrix.set_shape(shape);
  if (packed.size() != matrix.bytes())
    fail(Status::bad_argument, "a packed matrix of ", packed.size(), " bytes; one of ", shape.out, " x ", shape.in,
         " has ", matrix.bytes());
  if (const auto past = reinterpret_cast<std::uintptr_t>(packed.data()) % kAlignment; past != 0)
    fail(Status::bad_argument, "a packed matrix ", past, " bytes past an address that ", kAlignment, " divides");
  matrix.values_ = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(packed.data()));
  matrix.scales_ = reinterpret_cast<float*>(matrix.values_ + matrix.n_values());
  return matrix;
}

Int8Matrix::Int8Matrix(Int8Matrix&& other) noexcept { *this = std::move(other); }

Int8Matrix& Int8Matrix::operator=(Int8Matrix&& other) noexcept {
  std::swap(out_, other.out_);
  std::swap(in_, other.in_);
  std::swap(n_panels_, other.n_panels_);
  std::swap(gated_, other.gated_);
  std::swap(quantisation_, other.quantisation_);
  std::swap(activation_, other.activation_);
  std::swap(memory_, other.memory_);
  std::swap(values_, other.values_);
  std::swap(scales_, other.scales_);
  return *this;
}

Int8Matrix::~Int8Matrix() {
  if (memory_ != nullptr) memory_->deallocate(values_, bytes(), kAlignment);
}

void Int8Matrix::set_shape(const PackedShape& shape) {
  check(shape);
  out_ = shape.out;
  in_ = shape.in;
  gated_ = shape.gated;
  quantisation_ = shape.quantisation;
  activation_ = shape.activation;
  n_panels_ = (out_ + panel_width() - 1) / panel_width();
}

std::size_t Int8Matrix::packed_bytes(const PackedShape& shape) {
  Int8Matrix matrix;
  matrix.set_shape(shape);
  return matrix.bytes();
}

std::int64_t Int8Matrix::n_values() const noexcept { return std::int64_t{n_panels_} * kPanel * n_groups() * group(); }

std::size_t Int8Matrix::bytes() const noexcept {
  constexpr std::int64_t kScaleAndBias = 2 * sizeof(float);
  return static_cast<std::size_t>(n_values() + std::int64_t{n_panels_} * kPanel * kScaleAndBias);
}

void Int8Matrix::allocate(std::pmr::memory_resource* memory) {
  void* const place = memory->allocate(bytes(), kAlignment);
  std::memset(place, 0, bytes());
  memory_ = memory;
  values_ = static_cast<std::uint8_t*>(place);
  std::fill_n(values_, n_values(), zero());
  scales_ = reinterpret_cast<float*>(values_ + n_values());
}

void Int8Matrix::pack_rows(const FloatMatrix& rows, std::int32_t first, Half half) {
  ANABRANCH_ASSERT(memory_ != nullptr && (gated_ || half == Half::gate));
  if (rows.in != in_ || rows.out < 0 || first < 0 || first > out_ - rows.out)
    fail(Status::bad_argument, "channels ", first, " to ", std::int64_t{first} + rows.out, " of ", rows.in,
         " inputs for a matrix of ", out_, " x ", in_);
  check_finite(rows, first);
  for (std::int32_t row = 0; row < rows.out; ++row) {
    const std::int32_t channel = first + row, width = panel_width();
    const std::int32_t place = channel / width * kPanel + channel % width;
    pack(rows, row, half == Half::up ? place + width : place);
  }
}

/// Index of the byte of an input in the channel at `place`, which counts over all panels.
std::int64_t Int8Matrix::index_of(std::int32_t place, std::int32_t input) const noexcept {
  const std::int32_t width =
      quantisation_ == Quantisation::per_block ? kPanel / 2 : kPanel;  // channels that are packed together
  const std::int64_t first = place / width;
  return ((first * n_groups() + input / group()) * width + place % width) * group() + input % group();
}

/// Packs channel `row` of `from` at `place`.
void Int8Matrix::pack(const FloatMatrix& from, std::int32_t row, std::int32_t place) {
  const float* weights = from.weights + std::int64_t{row} * in_;
  float largest = 0;
  for (std::int32_t k = 0; k < in_; ++k) largest = std::max(largest, std::fabs(weights[k]));
  if (from.bias != nullptr) scales_[n_panels_ * kPanel + place] = from.bias[row];
  if (largest < kSmallest) return;
  const float scale = largest / 127.0f;
  scales_[place] = scale;
  for (std::int32_t k = 0; k < in_; ++k) {
    const float rounded = std::clamp(std::nearbyint(weights[k] / scale), -127.0f, 127.0f);
    values_[index_of(place, k)] = static_cast<std::uint8_t>(static_cast<int>(rounded) + zero());
  }
}

void Int8Matrix::channel(std::int32_t index, float* weights) const {
  ANABRANCH_ASSERT(!gated_ && index >= 0 && index < out_);
  for (std::int32_t k = 0; k < in_; ++k) {
    const auto q = static_cast<std::int8_t>(values_[index_of(index, k)] - zero());
    weights[k] = scales_[index] * static_cast<float>(q);
  }
}

}  // namespace anabranch::linear
