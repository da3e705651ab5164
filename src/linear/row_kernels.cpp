#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/row_kernels.cpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include <hwy/foreach_target.h>  // compiles this file once per instruction set; first of all that is of Highway

#include <hwy/highway.h>

#include "kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::linear::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using impl::Rounding;
using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using D16 = hn::Rebind<std::int16_t, DF>;
using D8 = hn::Rebind<std::int8_t, DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

constexpr float kSmallest = 1e-30f;

/// Elements [i, i + lanes) of a row, zeros past its end.
HWY_INLINE VF load_part(const float* x, std::int32_t i, std::int32_t n) {
  const DF df;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  if (i + lanes <= n) return hn::LoadU(df, x + i);
  HWY_ALIGN float part[16] = {};
  std::memcpy(part, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
  return hn::Load(df, part);
}

/// What a row's elements are multiplied with before they are rounded: nothing, or a norm's scale and weight.
struct Plain {
  VF operator()(const float* x, std::int32_t i, std::int32_t n) const { return load_part(x, i, n); }
};
struct Normed {
  VF scale;
  const float* weight;
  VF operator()(const float* x, std::int32_t i, std::int32_t n) const {
    return hn::Mul(hn::Mul(load_part(x, i, n), scale), load_part(weight, i, n));
  }
};

float sum_of_squares(const float* x, std::int32_t n) {
  const DF df;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  VF even = hn::Zero(df), odd = hn::Zero(df);
  for (std::int32_t i = 0; i < n; i += 2 * lanes) {
    const VF a = load_part(x, i, n);
    even = hn::MulAdd(a, a, even);
    if (i + lanes >= n) break;
    const VF b = load_part(x, i + lanes, n);
    odd = hn::MulAdd(b, b, odd);
  }
  return hn::GetLane(hn::SumOfLanes(df, hn::Add(even, odd)));
}

/// Bits of the largest magnitude. Compared as integers, infinities and NaN are the largest.
template <class Value>
std::int32_t largest_bits(const float* x, std::int32_t begin, std::int32_t end, const Value& value) {
  const DI di;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(di));
  const VI magnitude = hn::Set(di, 0x7fffffff);
  VI largest = hn::Zero(di);
  for (std::int32_t i = begin; i < end; i += lanes)
    largest = hn::Max(largest, hn::And(hn::BitCast(di, value(x, i, end)), magnitude));
  return hn::GetLane(hn::MaxOfLanes(di, largest));
}

/// Largest magnitude of x[begin, end) as float; `kind` says what is to be done with it.
enum class Kind : std::uint8_t { numbers, zeros, not_finite };
template <class Value>
Kind largest_of(const float* x, std::int32_t begin, std::int32_t end, const Value& value, float& largest) {
  const std::int32_t bits = largest_bits(x, begin, end, value);
  std::memcpy(&largest, &bits, sizeof(largest));
  return bits >= 0x7f800000 ? Kind::not_finite : largest < kSmallest ? Kind::zeros : Kind::numbers;
}

/// Rounds one row as a whole and returns its scale; `out` has room for whole vectors.
template <class Value>
float round_whole(const float* x, std::int32_t n, const Value& value, std::int16_t* out) {
  const DF df;
  const D16 d16;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  float largest;
  const Kind kind = largest_of(x, 0, n, value, largest);
  if (kind != Kind::numbers) {
    std::memset(out, 0, static_cast<std::size_t>(n) * sizeof(*out));
    return kind == Kind::zeros ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const auto limit = static_cast<float>(QuantisedRows::limit(RowForm::whole, n));
  const VF factor = hn::Set(df, limit / largest);
  for (std::int32_t i = 0; i < n; i += lanes)
    hn::StoreU(hn::DemoteTo(d16, hn::NearestInt(hn::Mul(value(x, i, n), factor))), d16, out + i);
  return largest / limit;
}

/// Rounds one block, filled up with zeros; `start` as QuantisedRows::starts.
template <class Value>
Kind round_block(const float* x, std::int32_t begin, std::int32_t end, const Value& value, std::int8_t* out,
                 float& scale, std::int32_t& start) {
  const DF df;
  const DI di;
  const D8 d8;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  float largest;
  const Kind kind = largest_of(x, begin, end, value, largest);
  scale = 0;
  start = 0;
  std::int32_t i = begin;
  if (kind == Kind::numbers) {
    constexpr float kLimit = QuantisedRows::limit(RowForm::blocks, 0);
    const VF factor = hn::Set(df, kLimit / largest);
    VI sum = hn::Zero(di);
    for (; i < end; i += lanes) {
      const VI rounded = hn::NearestInt(hn::Mul(value(x, i, end), factor));
      sum = hn::Add(sum, rounded);
      hn::StoreU(hn::DemoteTo(d8, rounded), d8, out + i);
    }
    scale = largest / kLimit;
    start = -128 * hn::GetLane(hn::SumOfLanes(di, sum));
  }
  if (i < begin + QuantisedRows::kBlock)
    std::memset(out + i, 0, static_cast<std::size_t>(begin + QuantisedRows::kBlock - i));
  return kind;
}

template <class Value>
void round_blocks(const float* x, std::int32_t n, const Value& value, std::int8_t* out, float* scales,
                  std::int32_t* starts) {
  const std::int32_t n_blocks = (n + QuantisedRows::kBlock - 1) / QuantisedRows::kBlock;
  for (std::int32_t block = 0; block < n_blocks; ++block) {
    const std::int32_t begin = block * QuantisedRows::kBlock, end = std::min(n, begin + QuantisedRows::kBlock);
    if (round_block(x, begin, end, value, out, scales[block], starts[block]) != Kind::not_finite) continue;
    std::memset(out, 0, static_cast<std::size_t>(n_blocks) * QuantisedRows::kBlock);
    std::fill_n(scales, n_blocks, std::numeric_limits<float>::quiet_NaN());
    std::fill_n(starts, n_blocks, 0);
    return;
  }
}

template <class Value>
void round_row(const float* x, const Value& value, QuantisedRows& out, std::int32_t row) {
  std::byte* const to = out.row(row);
  if (out.form() == RowForm::blocks)
    round_blocks(x, out.width(), value, reinterpret_cast<std::int8_t*>(to), out.scales(row), out.starts(row));
  else
    *out.scales(row) = round_whole(x, out.width(), value, reinterpret_cast<std::int16_t*>(to));
}

void round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  const std::int32_t width = rounding.out->width();
  for (std::int32_t r = begin; r < end; ++r) {
    const float* x = rounding.in.first + r * rounding.in.stride;
    if (rounding.weight == nullptr) {
      round_row(x, Plain{}, *rounding.out, r);
      continue;
    }
    const float mean = sum_of_squares(x, width) / static_cast<float>(width);
    round_row(x, Normed{hn::Set(DF(), 1.0f / std::sqrt(mean + rounding.epsilon)), rounding.weight}, *rounding.out, r);
  }
}

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::linear {

HWY_EXPORT(round_rows);

void impl::round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  HWY_DYNAMIC_DISPATCH(round_rows)(rounding, begin, end);
}

}  // namespace anabranch::linear
#endif
