#include <anabranch/linear/quantised_rows.hpp>

#include <atomic>
#include <cstring>
#include <new>
#include <string>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "kernels.hpp"
#include "share_out.hpp"

namespace anabranch::linear {
namespace {

constexpr std::align_val_t kLine{64};
constexpr std::int64_t kLineBytes = 64;
/// Below this many elements, waking the other threads costs more than they save.
constexpr std::int64_t kWorthThreads = 2048;

/// Whole cache lines, and not a multiple of eight of them: rows of one block then lie in different sets of the cache.
std::int64_t stride_of(std::int64_t bytes) noexcept {
  std::int64_t lines = (bytes + kLineBytes - 1) / kLineBytes;
  if (lines % 8 == 0) ++lines;
  return lines * kLineBytes;
}

template <class T>
T* allocate(std::size_t n) {
  return static_cast<T*>(::operator new(n * sizeof(T), kLine));
}

void check(const FloatRows& in, std::int32_t width) {
  if (in.n_rows > 1 && in.stride < width)
    fail(Status::bad_argument,
         "rows are " + std::to_string(in.stride) + " floats apart, but " + std::to_string(width) + " wide");
}

/// A norm needs the whole row. Without one columns are shared out, as products share out theirs: a thread then rounds
/// what it has written itself.
void run(const impl::Rounding& rounding, const ParallelFor& parallel) {
  simd::prepare();
  QuantisedRows& out = *rounding.out;
  const std::int32_t n_rows = out.n_rows();
  if (std::int64_t{n_rows} * out.width() < kWorthThreads || parallel.n_workers() < 2)
    return impl::round_rows(rounding, 0, n_rows);
  if (rounding.weight != nullptr || out.form() == RowForm::whole)
    return impl::share_out(n_rows, parallel,
                           [&](std::int32_t begin, std::int32_t end) { impl::round_rows(rounding, begin, end); });
  std::atomic<bool> finite{true};
  impl::share_out(out.n_blocks(), parallel, [&](std::int32_t begin, std::int32_t end) {
    if (!impl::round_columns(rounding, begin, end)) finite.store(false, std::memory_order_relaxed);
  });
  if (!finite.load(std::memory_order_relaxed)) impl::round_rows(rounding, 0, n_rows);
}

}  // namespace

RowForm best_row_form() { return simd::allows(simd::Extra::avx512_vnni) ? RowForm::blocks : RowForm::whole; }

void QuantisedRows::Free::operator()(void* memory) const noexcept { ::operator delete(memory, kLine); }

QuantisedRows::QuantisedRows() = default;
QuantisedRows::QuantisedRows(QuantisedRows&&) noexcept = default;
QuantisedRows& QuantisedRows::operator=(QuantisedRows&&) noexcept = default;
QuantisedRows::~QuantisedRows() = default;

std::int32_t QuantisedRows::value(std::int32_t row, std::int32_t index) const noexcept {
  const std::byte* const first = this->row(row);
  if (form_ == RowForm::blocks) return static_cast<std::int8_t>(first[index]);
  std::int16_t whole;
  std::memcpy(&whole, first + std::int64_t{index} * 2, sizeof(whole));
  return whole;
}

void QuantisedRows::resize(std::int32_t n_rows, const RowShape& shape) {
  const auto [width, form] = shape;
  if (width < 1 || width > kMaxWidth)
    fail(Status::bad_argument,
         "rows of width " + std::to_string(width) + "; it must be 1 to " + std::to_string(kMaxWidth));
  if (n_rows < 0) fail(Status::bad_argument, "a number of rows of " + std::to_string(n_rows));
  const std::int64_t stride = stride_of(std::int64_t{width} * (form == RowForm::blocks ? 1 : 2));
  const auto bytes = static_cast<std::size_t>(n_rows * stride);
  const auto blocks = static_cast<std::size_t>(n_rows) *
                      static_cast<std::size_t>(form == RowForm::blocks ? (width + kBlock - 1) / kBlock : 1);
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
  form_ = form;
  stride_ = stride;
}

void quantise(const FloatRows& in, const RowShape& shape, QuantisedRows& out, const ParallelFor& parallel) {
  check(in, shape.width);
  out.resize(in.n_rows, shape);
  run({in, nullptr, 0.0f, &out}, parallel);
}

void rms_norm_quantise(const FloatRows& in, const float* weight, float epsilon, const RowShape& shape,
                       QuantisedRows& out, const ParallelFor& parallel) {
  check(in, shape.width);
  out.resize(in.n_rows, shape);
  run({in, weight, epsilon, &out}, parallel);
}

}  // namespace anabranch::linear
