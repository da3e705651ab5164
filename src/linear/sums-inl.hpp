// The inner loop of products of rows quantised per row: sums of R rows over the channels of one panel, all in vector
// registers.
//
// Included once per instruction set. Accumulators have names, one or two per row, because g++ keeps arrays of vectors
// in memory; one pair of inputs per turn, because it reorders longer turns into more registers than there are.
#if defined(ANABRANCH_LINEAR_SUMS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_LINEAR_SUMS_INL
#undef ANABRANCH_LINEAR_SUMS_INL
#else
#define ANABRANCH_LINEAR_SUMS_INL
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <hwy/highway.h>

#include "tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::linear::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using impl::kChannels;
using impl::Tile;

#if HWY_TARGET == HWY_SCALAR

inline constexpr int kMaxRows = 4;

template <int kRows>
void sum_panel(const Tile& tile, float* HWY_RESTRICT sums) {
  for (int r = 0; r < kRows; ++r) {
    std::int32_t sum[kChannels] = {};
    for (std::ptrdiff_t pair = 0; pair < tile.n_groups; ++pair) {
      const std::int16_t* x = tile.row16(r) + 2 * pair;
      const std::int8_t* w = tile.pairs() + pair * 2 * kChannels;
      for (int c = 0; c < kChannels; ++c) sum[c] += w[2 * c] * x[0] + w[2 * c + 1] * x[1];
    }
    for (int c = 0; c < kChannels; ++c) sums[r * kChannels + c] = static_cast<float>(sum[c]) * tile.scales[r];
  }
}

#else

/// Sixteen bytes at least; at most half a panel's channels in one vector.
using D32 = hn::CappedTag<std::int32_t, 16>;
using D16 = hn::RepartitionToNarrow<D32>;
using D8 = hn::Half<hn::RepartitionToNarrow<D16>>;
using V32 = hn::Vec<D32>;
using V16 = hn::Vec<D16>;

/// Rows whose sums fit into the registers, beside two vectors of weights and one of activations.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr int kMaxRows = 12;
#elif HWY_ARCH_X86
inline constexpr int kMaxRows = 6;
#else
inline constexpr int kMaxRows = 4;
#endif

/// Weights are asked for this many bytes before their use, into the second cache: the first one has too few requests in
/// flight to keep up. With one or two rows the CPU's own look-ahead does better.
template <int kRows>
HWY_INLINE void ask_ahead([[maybe_unused]] const std::int8_t* w) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  if constexpr (kRows > 2) __builtin_prefetch(w + 8192, 0, 2);
#endif
}

/// sum (and `rest`, on some CPUs) += products of pairs.
HWY_INLINE V32 add_pairs(V16 w, V16 x, V32 sum, V32& rest) {
  return hn::ReorderWidenMulAccumulate(D32(), w, x, sum, rest);
}

/// Two neighbours of a row, in every lane.
HWY_INLINE V16 both(const std::int16_t* x) {
  std::int32_t pair;
  std::memcpy(&pair, x, sizeof(pair));
  return hn::BitCast(D16(), hn::Set(D32(), pair));
}

HWY_INLINE void store_scaled(V32 sum, V32 rest, float scale, float* to) {
  const hn::RebindToFloat<D32> df;
  hn::StoreU(hn::Mul(hn::ConvertTo(df, hn::RearrangeToOddPlusEven(sum, rest)), hn::Set(df, scale)), df, to);
}

// clang-format off
#define ANABRANCH_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
// clang-format on
#define ANABRANCH_ZERO(r) [[maybe_unused]] V32 sum_a##r = zero, sum_b##r = zero, rest_a##r = zero, rest_b##r = zero;
#define ANABRANCH_ADD(r)                                                   \
  if constexpr (kRows > r) {                                               \
    const V16 x = both((r < 4 ? x0 : r < 8 ? x4 : x8) + (r % 4) * stride); \
    sum_a##r = add_pairs(w0, x, sum_a##r, rest_a##r);                      \
    sum_b##r = add_pairs(w1, x, sum_b##r, rest_b##r);                      \
  }
#define ANABRANCH_STORE(r)                                                       \
  if constexpr (kRows > r) {                                                     \
    store_scaled(sum_a##r, rest_a##r, tile.scales[r], sums + r * kChannels);     \
    store_scaled(sum_b##r, rest_b##r, tile.scales[r], sums + r * kChannels + n); \
  }

/// Channels of two vectors: sums[r * 32 + c].
template <int kRows, bool kAsk>
HWY_INLINE void sum_columns(const Tile& tile, const std::int8_t* HWY_RESTRICT w, float* HWY_RESTRICT sums) {
  const D32 d32;
  const D16 d16;
  const D8 d8;
  const std::size_t n = hn::Lanes(d32);
  const V32 zero = hn::Zero(d32);
  const std::ptrdiff_t stride = tile.stride / 2;
  const std::int16_t* HWY_RESTRICT x0 = tile.row16(0);
  [[maybe_unused]] const std::int16_t* HWY_RESTRICT x4 = x0 + 4 * stride;
  [[maybe_unused]] const std::int16_t* HWY_RESTRICT x8 = x0 + 8 * stride;
  ANABRANCH_EACH_ROW(ANABRANCH_ZERO)
  for (std::ptrdiff_t pair = 0; pair < tile.n_groups; ++pair) {
    if constexpr (kAsk) ask_ahead<kRows>(w);
    const V16 w0 = hn::PromoteTo(d16, hn::LoadU(d8, w));
    const V16 w1 = hn::PromoteTo(d16, hn::LoadU(d8, w + 2 * n));
    ANABRANCH_EACH_ROW(ANABRANCH_ADD)
    w += 2 * kChannels;
    x0 += 2;
    if constexpr (kRows > 4) x4 += 2;
    if constexpr (kRows > 8) x8 += 2;
  }
  ANABRANCH_EACH_ROW(ANABRANCH_STORE)
}

#undef ANABRANCH_EACH_ROW
#undef ANABRANCH_ZERO
#undef ANABRANCH_ADD
#undef ANABRANCH_STORE

/// The same for one or two rows and four vectors: fewer visits of the panel, and more sums on their way.
template <int kRows, bool kAsk>
HWY_INLINE void sum_wide(const Tile& tile, const std::int8_t* HWY_RESTRICT w, float* HWY_RESTRICT sums) {
  static_assert(kRows <= 2);
  const D32 d32;
  const D16 d16;
  const D8 d8;
  const std::size_t n = hn::Lanes(d32);
  V32 a0 = hn::Zero(d32), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
  [[maybe_unused]] V32 e0 = a0, f0 = a0, g0 = a0, h0 = a0, e1 = a0, f1 = a0, g1 = a0, h1 = a0;  // rests
  const std::int16_t* HWY_RESTRICT x = tile.row16(0);
  for (std::ptrdiff_t pair = 0; pair < tile.n_groups; ++pair) {
    if constexpr (kAsk) ask_ahead<kRows>(w);
    const V16 x0 = both(x), x1 = kRows > 1 ? both(x + tile.stride / 2) : x0;
    const auto add = [&](std::size_t place, V32& sum0, V32& rest0, V32& sum1, V32& rest1) HWY_ATTR {
      const V16 weights = hn::PromoteTo(d16, hn::LoadU(d8, w + place * 2 * n));
      sum0 = add_pairs(weights, x0, sum0, rest0);
      if constexpr (kRows > 1) sum1 = add_pairs(weights, x1, sum1, rest1);
    };
    add(0, a0, e0, a1, e1);
    add(1, b0, f0, b1, f1);
    add(2, c0, g0, c1, g1);
    add(3, d0, h0, d1, h1);
    w += 2 * kChannels;
    x += 2;
  }
  const auto store = [&](std::size_t place, V32 sum0, V32 rest0, V32 sum1, V32 rest1) HWY_ATTR {
    store_scaled(sum0, rest0, tile.scales[0], sums + place * n);
    if constexpr (kRows > 1) store_scaled(sum1, rest1, tile.scales[1], sums + kChannels + place * n);
  };
  store(0, a0, e0, a1, e1);
  store(1, b0, f0, b1, f1);
  store(2, c0, g0, c1, g1);
  store(3, d0, h0, d1, h1);
}

/// sums: [kRows, 32].
template <int kRows>
void sum_panel(const Tile& tile, float* HWY_RESTRICT sums) {
  constexpr bool kWide = kRows <= 2 && HWY_MAX_BYTES < 64;
  const std::size_t n = (kWide ? 4 : 2) * hn::Lanes(D32());
  const auto columns = [&](std::size_t c, auto ask) HWY_ATTR {
    if constexpr (kWide)
      sum_wide<kRows, ask()>(tile, tile.pairs() + 2 * c, sums + c);
    else
      sum_columns<kRows, ask()>(tile, tile.pairs() + 2 * c, sums + c);
  };
  columns(0, std::true_type());
  for (std::size_t c = n; c < kChannels; c += n) columns(c, std::false_type());
}

#endif

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
