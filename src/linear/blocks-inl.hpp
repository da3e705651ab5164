// The inner loop of products of rows quantised per block: sums of R rows over the channels of one panel, in float32.
//
// Included once per instruction set. vpdpbusd multiplies four bytes without sign with four that have one. So weights
// are stored with 128 added, and each sum starts with a correction for it (QuantisedRows::starts). Half a panel is done
// at a time, so that its totals stay in registers beside the sums; accumulators have names for the reason that
// sums-inl.hpp gives.
#if defined(ANABRANCH_LINEAR_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_LINEAR_BLOCKS_INL
#undef ANABRANCH_LINEAR_BLOCKS_INL
#else
#define ANABRANCH_LINEAR_BLOCKS_INL
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <hwy/highway.h>

#include "tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::linear::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::ptrdiff_t kQuadsOfBlock = 8;
inline constexpr int kHalf = impl::kChannels / 2;

/// The same product on any CPU, slowly. Without vpdpbusd only tests quantise rows per block.
inline void sum_blocks_plainly(const impl::Tile& tile, int n_rows, float* sums) {
  for (int r = 0; r < n_rows; ++r)
    for (int c = 0; c < impl::kChannels; ++c) {
      const std::uint8_t* const half = tile.half(c / kHalf);
      float total = 0;
      for (std::ptrdiff_t block = 0; block < tile.n_blocks; ++block) {
        const std::ptrdiff_t place = r * tile.n_blocks + block;
        const std::ptrdiff_t end = std::min(4 * tile.n_groups, 4 * kQuadsOfBlock * (block + 1));
        std::int32_t sum = tile.starts[place];
        for (std::ptrdiff_t k = 4 * kQuadsOfBlock * block; k < end; ++k)
          sum += tile.row8(r)[k] * half[(k / 4 * kHalf + c % kHalf) * 4 + k % 4];
        total += static_cast<float>(sum) * tile.scales[place];
      }
      sums[r * impl::kChannels + c] = total;
    }
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

/// sum += products of quads of bytes: w without sign, and four neighbours of a row, with sign, in every lane. The
/// instruction reads them in every lane by itself; a broadcast would take the place of a product.
HWY_INLINE void add_quads(hn::Vec<hn::FixedTag<std::int32_t, 16>>& sum, hn::Vec<hn::FixedTag<std::uint8_t, 64>> w,
                          const std::int8_t* x) {
  using Quad [[gnu::may_alias, gnu::aligned(1)]] = std::int32_t;
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "m"(*reinterpret_cast<const Quad*>(x)));
}

// clang-format off
#define ANABRANCH_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
// clang-format on
#define ANABRANCH_ZERO(r) [[maybe_unused]] auto total##r = hn::Zero(df);
#define ANABRANCH_START(r)                                                                \
  [[maybe_unused]] auto sum##r = hn::Set(d32, kRows > r ? starts[r * tile.n_blocks] : 0); \
  [[maybe_unused]] auto other##r = hn::Zero(d32);
#define ANABRANCH_ROW(r) ((r < 4 ? x0 : r < 8 ? x4 : x8) + (r % 4) * stride)
#define ANABRANCH_ADD(r) \
  if constexpr (kRows > r) add_quads(sum##r, w0, ANABRANCH_ROW(r));
#define ANABRANCH_ADD_OTHER(r) \
  if constexpr (kRows > r) add_quads(other##r, w1, ANABRANCH_ROW(r) + 4);
#define ANABRANCH_TOTAL(r)                                                                                 \
  if constexpr (kRows > r) {                                                                               \
    const auto sum = kFew ? hn::Add(sum##r, other##r) : sum##r;                                            \
    total##r = hn::Add(total##r, hn::Mul(hn::ConvertTo(df, sum), hn::Set(df, scales[r * tile.n_blocks]))); \
  }
#define ANABRANCH_STORE(r) \
  if constexpr (kRows > r) hn::StoreU(total##r, df, sums + r * impl::kChannels);

/// Half a panel.
template <int kRows>
HWY_INLINE void sum_half(const impl::Tile& tile, const std::uint8_t* HWY_RESTRICT w, float* HWY_RESTRICT sums) {
  const hn::FixedTag<float, 16> df;
  const hn::FixedTag<std::int32_t, 16> d32;
  const hn::FixedTag<std::uint8_t, 64> d8;
  constexpr bool kFew = kRows < 4;  // two sums each: a product waits for the one before it of the same sum
  const std::ptrdiff_t stride = tile.stride;
  const std::int8_t* HWY_RESTRICT x0 = tile.row8(0);
  [[maybe_unused]] const std::int8_t* HWY_RESTRICT x4 = x0 + 4 * stride;
  [[maybe_unused]] const std::int8_t* HWY_RESTRICT x8 = x0 + 8 * stride;
  const std::int32_t* starts = tile.starts;
  const float* scales = tile.scales;
  ANABRANCH_EACH_ROW(ANABRANCH_ZERO)
  for (std::ptrdiff_t left = tile.n_groups; left > 0;) {
    const std::ptrdiff_t quads = std::min(left, kQuadsOfBlock);
    left -= quads;
    ANABRANCH_EACH_ROW(ANABRANCH_START)
    for (std::ptrdiff_t quad = 0; quad < quads; ++quad) {
      __builtin_prefetch(w + 8192, 0, 2);  // with few rows every other line: asking for all was slower
      const auto w0 = hn::LoadU(d8, w);
      ANABRANCH_EACH_ROW(ANABRANCH_ADD)
      if (kFew && quad + 1 < quads) {
        w += 64;
        const auto w1 = hn::LoadU(d8, w);
        ANABRANCH_EACH_ROW(ANABRANCH_ADD_OTHER)
        x0 += 4;
        ++quad;
      }
      w += 64;
      x0 += 4;
      if constexpr (kRows > 4) x4 += 4;
      if constexpr (kRows > 8) x8 += 4;
    }
    ANABRANCH_EACH_ROW(ANABRANCH_TOTAL)
    ++starts;
    ++scales;
  }
  ANABRANCH_EACH_ROW(ANABRANCH_STORE)
}

template <int kRows>
void sum_blocks(const impl::Tile& tile, float* HWY_RESTRICT sums) {
  for (int half = 0; half < 2; ++half) sum_half<kRows>(tile, tile.half(half), sums + half * kHalf);
}

#undef ANABRANCH_EACH_ROW
#undef ANABRANCH_ZERO
#undef ANABRANCH_START
#undef ANABRANCH_ROW
#undef ANABRANCH_ADD
#undef ANABRANCH_ADD_OTHER
#undef ANABRANCH_TOTAL
#undef ANABRANCH_STORE
#endif

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
