#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/row_kernels.cpp"
#include <cmath>
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
std::int32_t largest_bits(const float* x, std::int32_t n, const Value& value) {
  const DI di;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(di));
  const VI magnitude = hn::Set(di, 0x7fffffff);
  VI largest = hn::Zero(di);
  for (std::int32_t i = 0; i < n; i += lanes)
    largest = hn::Max(largest, hn::And(hn::BitCast(di, value(x, i, n)), magnitude));
  return hn::GetLane(hn::MaxOfLanes(di, largest));
}

/// Rounds one row; `out` has room for whole vectors.
template <class Value>
float round_row(const float* x, std::int32_t n, const Value& value, std::int16_t* out) {
  const DF df;
  const D16 d16;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  const std::int32_t bits = largest_bits(x, n, value);
  float largest;
  std::memcpy(&largest, &bits, sizeof(largest));
  const bool finite = bits < 0x7f800000;
  if (!finite || largest < kSmallest) {
    std::memset(out, 0, static_cast<std::size_t>(n + n % 2) * sizeof(*out));
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const auto limit = static_cast<float>(QuantisedRows::limit(n));
  const VF factor = hn::Set(df, limit / largest);
  for (std::int32_t i = 0; i < n; i += lanes)
    hn::StoreU(hn::DemoteTo(d16, hn::NearestInt(hn::Mul(value(x, i, n), factor))), d16, out + i);
  return largest / limit;
}

void round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  const std::int32_t width = rounding.out->width();
  for (std::int32_t r = begin; r < end; ++r) {
    const float* x = rounding.in.first + r * rounding.in.stride;
    float& scale = rounding.out->scales()[r];
    if (rounding.weight == nullptr) {
      scale = round_row(x, width, Plain{}, rounding.out->row(r));
      continue;
    }
    const float mean = sum_of_squares(x, width) / static_cast<float>(width);
    const Normed normed{hn::Set(DF(), 1.0f / std::sqrt(mean + rounding.epsilon)), rounding.weight};
    scale = round_row(x, width, normed, rounding.out->row(r));
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
