#include <anabranch/linear/int8_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::linear {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::int32_t kMaxChannels = 1 << 24;
constexpr float kSmallest = 1e-30f;  ///< a channel with no larger weight is stored as zeros

void check(const FloatMatrix& from) {
  if (from.out < 1 || from.out > kMaxChannels)
    fail(Status::bad_argument, "a matrix of ", from.out, " channels; it must have 1 to ", kMaxChannels);
  if (from.in < 1 || from.in > QuantisedRows::kMaxWidth)
    fail(Status::bad_argument, "a matrix of ", from.in, " inputs; it must have 1 to ", QuantisedRows::kMaxWidth);
  const std::int64_t n = std::int64_t{from.out} * from.in;
  const float* bad = std::find_if_not(from.weights, from.weights + n, [](float w) { return std::isfinite(w); });
  if (bad != from.weights + n)
    fail(Status::bad_argument, "the weight of channel ", (bad - from.weights) / from.in, ", input ",
         (bad - from.weights) % from.in, " is ", *bad);
}

std::int32_t panels(std::int32_t channels) noexcept { return (channels + Int8Matrix::kPanel - 1) / Int8Matrix::kPanel; }

}  // namespace

Int8Matrix::Int8Matrix(const FloatMatrix& from, std::pmr::memory_resource* memory, Quantisation quantisation)
    : quantisation_(quantisation) {
  check(from);
  out_ = from.out;
  in_ = from.in;
  n_panels_ = panels(from.out);
  allocate(memory);
  for (std::int32_t row = 0; row < out_; ++row) pack(from, row, row);
}

Int8Matrix::Int8Matrix(const FloatMatrix& gate, const FloatMatrix& up, std::pmr::memory_resource* memory,
                       Quantisation quantisation)
    : quantisation_(quantisation) {
  check(gate);
  check(up);
  if (gate.out != up.out || gate.in != up.in)
    fail(Status::bad_argument, "a gate of ", gate.out, " x ", gate.in, " beside a matrix of ", up.out, " x ", up.in);
  out_ = gate.out;
  in_ = gate.in;
  gated_ = true;
  constexpr std::int32_t kHalf = kPanel / 2;
  n_panels_ = (out_ + kHalf - 1) / kHalf;
  allocate(memory);
  for (std::int32_t row = 0; row < out_; ++row) {
    const std::int32_t place = row / kHalf * kPanel + row % kHalf;
    pack(gate, row, place);
    pack(up, row, place + kHalf);
  }
}

Int8Matrix::Int8Matrix(Int8Matrix&& other) noexcept { *this = std::move(other); }

Int8Matrix& Int8Matrix::operator=(Int8Matrix&& other) noexcept {
  std::swap(out_, other.out_);
  std::swap(in_, other.in_);
  std::swap(n_panels_, other.n_panels_);
  std::swap(gated_, other.gated_);
  std::swap(quantisation_, other.quantisation_);
  std::swap(memory_, other.memory_);
  std::swap(values_, other.values_);
  std::swap(scales_, other.scales_);
  return *this;
}

Int8Matrix::~Int8Matrix() {
  if (values_ != nullptr) memory_->deallocate(values_, allocated(), kLine);
}

std::size_t Int8Matrix::bytes() const noexcept {
  constexpr std::int64_t kScaleAndBias = 2 * sizeof(float);
  return static_cast<std::size_t>(std::int64_t{n_panels_} * kPanel * (n_groups() * group() + kScaleAndBias));
}

std::size_t Int8Matrix::allocated() const noexcept { return bytes(); }

void Int8Matrix::allocate(std::pmr::memory_resource* memory) {
  void* const place = memory->allocate(allocated(), kLine);
  const std::int64_t n_values = std::int64_t{n_panels_} * kPanel * n_groups() * group();
  std::memset(place, 0, allocated());
  memory_ = memory;
  values_ = static_cast<std::uint8_t*>(place);
  std::fill_n(values_, n_values, zero());
  scales_ = reinterpret_cast<float*>(values_ + n_values);
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
