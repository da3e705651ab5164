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
  std::copy_n(x + i, n - i, part);
  return hn::Load(df, part);
}

/// A row's elements before they are rounded: as they are, or times a norm's scale and weight.
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

/// Rounds one row with one scale, which it returns; `out` has room for whole vectors.
template <class Value>
float round_per_row(const float* x, std::int32_t n, const Value& value, std::int16_t* out) {
  const DF df;
  const D16 d16;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
  const std::int32_t bits = largest_bits(x, n, value);
  float largest;
  std::memcpy(&largest, &bits, sizeof(largest));
  const bool finite = bits < 0x7f800000;
  if (!finite || largest < kSmallest) {
    std::fill_n(out, n + n % 2, std::int16_t{0});
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const auto limit = static_cast<float>(QuantisedRows::limit(Quantisation::per_row, n));
  const VF factor = hn::Set(df, limit / largest);
  for (std::int32_t i = 0; i < n; i += lanes)
    hn::StoreU(hn::DemoteTo(d16, hn::NearestInt(hn::Mul(value(x, i, n), factor))), d16, out + i);
  return largest / limit;
}

/// Blocks whose scales are computed together, so that the lanes of a vector are not combined for each block alone.
constexpr std::int32_t kTogether = 16;

/// Combines a vector's lanes until four are left, and stores these.
template <class V, class Combine>
HWY_INLINE void store_four(V lanes, [[maybe_unused]] const Combine& combine, std::int32_t* four) {
  const hn::DFromV<V> d;
#if HWY_TARGET == HWY_SCALAR
  std::fill_n(four, 4, 0);  // neutral for magnitudes and sums
#else
  if constexpr (hn::MaxLanes(d) > 4) {
    const hn::Half<decltype(d)> half;
    return store_four(combine(hn::LowerHalf(half, lanes), hn::UpperHalf(half, lanes)), combine, four);
  }
#endif
  hn::StoreU(lanes, d, four);
}

/// Combines the fours of blocks [i, i + lanes), one result per lane.
template <class Combine>
HWY_INLINE VI combined(const std::int32_t* fours, std::int32_t i, const Combine& combine) {
  VI a, b, c, d;
  hn::LoadInterleaved4(DI(), fours + 4 * i, a, b, c, d);
  return combine(combine(a, b), combine(c, d));
}

/// Up to kTogether neighbouring blocks of a row.
template <class Value>
struct Blocks {
  const float* x;
  std::int32_t begin, end;  ///< elements
  const Value& value;

  std::int32_t n() const { return (end - begin + QuantisedRows::kBlock - 1) / QuantisedRows::kBlock; }

  /// Stores, for each block, four lanes of `combine(so far, of(vector, block, index))` over its vectors.
  template <class Of, class Combine>
  HWY_INLINE void reduce(const Of& of, const Combine& combine, std::int32_t* fours) const {
    const DF df;
    const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
    for (std::int32_t block = 0; block < n(); ++block) {
      const std::int32_t first = begin + block * QuantisedRows::kBlock;
      VI all = hn::Zero(DI());
      for (std::int32_t i = first; i < first + QuantisedRows::kBlock; i += lanes)
        all = combine(all, of(i < end ? value(x, i, end) : hn::Zero(df), block, i));
      store_four(all, combine, fours + 4 * block);
    }
  }

  void round(std::int8_t* out, float* scales, std::int32_t* starts) const {
    const DF df;
    const DI di;
    const auto lanes = static_cast<std::int32_t>(hn::Lanes(df));
    const auto larger = [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); };
    const auto sum = [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); };
    HWY_ALIGN std::int32_t fours[4 * kTogether] = {};
    HWY_ALIGN float of_block[kTogether], factors[kTogether];
    HWY_ALIGN std::int32_t start[kTogether];

    const VI magnitude = hn::Set(di, 0x7fffffff);
    reduce([&](VF v, std::int32_t, std::int32_t) HWY_ATTR { return hn::And(hn::BitCast(di, v), magnitude); }, larger,
           fours);
    const VF limit = hn::Set(df, static_cast<float>(QuantisedRows::limit(Quantisation::per_block, 0)));
    VI largest = hn::Zero(di);
    for (std::int32_t i = 0; i < kTogether; i += lanes) {
      const VI bits = combined(fours, i, larger);
      largest = hn::Max(largest, bits);
      const VF of_all = hn::BitCast(df, bits);
      const auto zeros = hn::Lt(of_all, hn::Set(df, kSmallest));
      hn::Store(hn::IfThenZeroElse(zeros, hn::Div(of_all, limit)), df, of_block + i);
      hn::Store(hn::IfThenZeroElse(zeros, hn::Div(limit, of_all)), df, factors + i);
    }

    reduce(
        [&](VF v, std::int32_t block, std::int32_t i) HWY_ATTR {
          const VI rounded = hn::NearestInt(hn::Mul(v, hn::Set(df, factors[block])));
          hn::StoreU(hn::DemoteTo(D8(), rounded), D8(), out + i);
          return rounded;
        },
        sum, fours);
    for (std::int32_t i = 0; i < kTogether; i += lanes)
      hn::Store(hn::Neg(hn::ShiftLeft<7>(combined(fours, i, sum))), di, start + i);
    std::copy_n(of_block, n(), scales);
    std::copy_n(start, n(), starts);
    if (hn::GetLane(hn::MaxOfLanes(di, largest)) >= 0x7f800000) spoil(out, scales, starts);
  }

  /// Makes every block zeros with the scale NaN whose scale is not finite, because it has a NaN or an infinity.
  void spoil(std::int8_t* out, float* scales, std::int32_t* starts) const {
    for (std::int32_t block = 0; block < n(); ++block) {
      if (std::isfinite(scales[block])) continue;
      std::memset(out + begin + block * QuantisedRows::kBlock, 0, QuantisedRows::kBlock);
      scales[block] = std::numeric_limits<float>::quiet_NaN();
      starts[block] = 0;
    }
  }
};

/// Rounds elements [begin, end) of a row per block; `begin` is the first of a block.
template <class Value>
void round_blocks(const float* x, std::int32_t begin, std::int32_t end, const Value& value, QuantisedRows& out,
                  std::int32_t row) {
  constexpr std::int32_t kWidth = kTogether * QuantisedRows::kBlock;
  for (; begin < end; begin += kWidth) {
    const Blocks<Value> blocks{x, begin, std::min(end, begin + kWidth), value};
    const std::int32_t first = begin / QuantisedRows::kBlock;
    blocks.round(reinterpret_cast<std::int8_t*>(out.row(row)), out.scales(row) + first, out.starts(row) + first);
  }
}

template <class Value>
void round_row(const float* x, const Value& value, QuantisedRows& out, std::int32_t row) {
  if (out.quantisation() == Quantisation::per_row)
    *out.scales(row) = round_per_row(x, out.width(), value, reinterpret_cast<std::int16_t*>(out.row(row)));
  else
    round_blocks(x, 0, out.width(), value, out, row);
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

void round_columns(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  for (std::int32_t r = 0; r < rounding.out->n_rows(); ++r)
    round_blocks(rounding.in.first + r * rounding.in.stride, begin, end, Plain{}, *rounding.out, r);
}

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::linear {

HWY_EXPORT(round_rows);
HWY_EXPORT(round_columns);

void impl::round_rows(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  HWY_DYNAMIC_DISPATCH(round_rows)(rounding, begin, end);
}

void impl::round_columns(const Rounding& rounding, std::int32_t begin, std::int32_t end) {
  HWY_DYNAMIC_DISPATCH(round_columns)(rounding, begin, end);
}

}  // namespace anabranch::linear
#endif
