#include <anabranch/linear/quantised_rows.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"

namespace anabranch::linear {
namespace {

constexpr std::align_val_t kLine{64};
constexpr std::int64_t kLineBytes = 64;
/// Below this many elements, waking the other threads costs more than they save.
constexpr std::int64_t kWorthThreads = 2048;
/// Nanoseconds that an element takes, roughly.
constexpr double kElementTime = 0.3;

/// Whole cache lines, but not a multiple of eight of them: rows then lie in different sets of the cache.
std::int64_t stride_of(std::int64_t bytes) noexcept {
  std::int64_t lines = (bytes + kLineBytes - 1) / kLineBytes;
  if (lines % 8 == 0) ++lines;
  return lines * kLineBytes;
}

template <class T>
T* allocate(std::int64_t n) {
  return static_cast<T*>(::operator new(static_cast<std::size_t>(n) * sizeof(T), kLine));
}

}  // namespace

Quantisation best_quantisation() {
  return simd::allows(simd::Extra::avx512_vnni) ? Quantisation::per_block : Quantisation::per_row;
}

void QuantisedRows::Free::operator()(void* memory) const noexcept { ::operator delete(memory, kLine); }

QuantisedRows::QuantisedRows() = default;
QuantisedRows::QuantisedRows(QuantisedRows&&) noexcept = default;
QuantisedRows& QuantisedRows::operator=(QuantisedRows&&) noexcept = default;
QuantisedRows::~QuantisedRows() = default;

std::int32_t QuantisedRows::value(std::int32_t row, std::int32_t index) const noexcept {
  const std::byte* const first = this->row(row);
  if (quantisation_ == Quantisation::per_block) return static_cast<std::int8_t>(first[index]);
  std::int16_t whole;
  std::memcpy(&whole, first + std::int64_t{index} * 2, sizeof(whole));
  return whole;
}

void QuantisedRows::resize(std::int32_t n_rows, const RowShape& shape) {
  const auto [width, quantisation] = shape;
  if (width < 1 || width > kMaxWidth)
    fail(Status::bad_argument, "rows of width ", width, "; it must be 1 to ", kMaxWidth);
  if (n_rows < 0) fail(Status::bad_argument, "a number of rows of ", n_rows);
  const std::int64_t stride = stride_of(std::int64_t{width} * (quantisation == Quantisation::per_block ? 1 : 2));
  const std::int64_t bytes = n_rows * stride;
  const std::int64_t blocks =
      std::int64_t{n_rows} * (quantisation == Quantisation::per_block ? (width + kBlock - 1) / kBlock : 1);
  if (bytes > room_) {
    values_.reset(allocate<std::byte>(bytes));
    room_ = bytes;
  }
  if (blocks > room_of_blocks_) {
    scales_.reset(allocate<float>(blocks));
    starts_.reset(allocate<std::int32_t>(blocks));
    room_of_blocks_ = blocks;
  }
  n_rows_ = n_rows;
  width_ = width;
  quantisation_ = quantisation;
  stride_ = stride;
}

impl::Rounding impl::prepare_rounding(const FloatRows& in, const RowShape& shape, const float* weight, float epsilon,
                                      QuantisedRows& out) {
  if (in.n_rows > 1 && in.stride < shape.width)
    fail(Status::bad_argument, "rows are ", in.stride, " floats apart, but ", shape.width, " wide");
  simd::prepare();
  out.resize(in.n_rows, shape);
  return {in, weight, epsilon, &out};
}

/// A norm needs the whole row. Without one columns in blocks are shared out, as products share out theirs: a thread
/// then rounds what it has written itself.
void impl::round(const Rounding& rounding, const ParallelFor& parallel) {
  const QuantisedRows& out = *rounding.out;
  const std::int64_t n_elements = std::int64_t{out.n_rows()} * out.width();
  const double time = kElementTime * static_cast<double>(n_elements);
  const ParallelFor& threads = n_elements < kWorthThreads ? ParallelFor{} : parallel;
  if (rounding.weight != nullptr || out.quantisation() == Quantisation::per_row)
    return threads.in_parts(out.n_rows(), time,
                            [&](std::int32_t begin, std::int32_t end) { round_rows(rounding, begin, end); });
  threads.in_parts(out.n_blocks(), time, [&](std::int32_t begin, std::int32_t end) {
    constexpr std::int32_t kBlock = QuantisedRows::kBlock;
    round_columns(rounding, begin * kBlock, std::min(end * kBlock, out.width()));
  });
}

void quantise(const FloatRows& in, const RowShape& shape, QuantisedRows& out, const ParallelFor& parallel) {
  impl::round(impl::prepare_rounding(in, shape, nullptr, 0.0f, out), parallel);
}

void begin_rounding(std::int32_t n_rows, const RowShape& shape, QuantisedRows& out) {
  simd::prepare();
  out.resize(n_rows, shape);
}

void round_rows(const FloatRows& in, std::int32_t begin, std::int32_t end, QuantisedRows& out) {
  const std::int32_t first = std::max(begin, 0), last = std::min(end, out.n_rows());
  impl::round_rows({in, nullptr, 0.0f, &out}, first, last);
}

void rms_norm_quantise(const FloatRows& in, const float* weight, float epsilon, const RowShape& shape,
                       QuantisedRows& out, const ParallelFor& parallel) {
  impl::round(impl::prepare_rounding(in, shape, weight, epsilon, out), parallel);
}

}  // namespace anabranch::linear
