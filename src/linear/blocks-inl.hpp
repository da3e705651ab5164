// The inner loop of products of rows in blocks: sums of R rows over the channels of one panel, in float32.
//
// Included once per instruction set. vpdpbusd multiplies four bytes without sign with four that have one: weights are
// stored with 128 added, and each sum starts with what that adds too much. Accumulators have names as in sums-inl.hpp,
// and for its reason; the totals of the blocks do not fit into the registers beside them.
#if defined(ANABRANCH_LINEAR_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_LINEAR_BLOCKS_INL
#undef ANABRANCH_LINEAR_BLOCKS_INL
#else
#define ANABRANCH_LINEAR_BLOCKS_INL
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#include "tile.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::linear::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::size_t kQuadsOfBlock = 8;

/// The same on any CPU, slowly: rows get this form where vpdpbusd is, or from a test.
inline void sum_blocks_plainly(const impl::Tile& tile, int n_rows, float* sums) {
  for (int r = 0; r < n_rows; ++r)
    for (int c = 0; c < impl::kChannels; ++c) {
      float total = 0;
      for (std::size_t block = 0; block < tile.n_blocks; ++block) {
        const std::size_t place = static_cast<std::size_t>(r) * tile.n_blocks + block;
        const std::size_t end = std::min(4 * tile.n_groups, 4 * kQuadsOfBlock * (block + 1));
        std::int32_t sum = tile.starts[place];
        for (std::size_t k = 4 * kQuadsOfBlock * block; k < end; ++k)
          sum += tile.row8(r)[k] * tile.panel[(k / 4 * impl::kChannels + static_cast<std::size_t>(c)) * 4 + k % 4];
        total += static_cast<float>(sum) * tile.scales[place];
      }
      sums[r * impl::kChannels + c] = total;
    }
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

/// sum += products of quads of bytes: w without sign, x with.
HWY_INLINE void add_quads(hn::Vec<hn::FixedTag<std::int32_t, 16>>& sum, hn::Vec<hn::FixedTag<std::uint8_t, 64>> w,
                          hn::Vec<hn::FixedTag<std::int32_t, 16>> x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
}

/// Four neighbours of a row, in every lane.
HWY_INLINE hn::Vec<hn::FixedTag<std::int32_t, 16>> all_four(const std::int8_t* x) {
  std::int32_t quad;
  std::memcpy(&quad, x, sizeof(quad));
  return hn::Set(hn::FixedTag<std::int32_t, 16>(), quad);
}

// clang-format off
#define ANABRANCH_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
// clang-format on
#define ANABRANCH_START(r)                                                              \
  [[maybe_unused]] auto a##r = hn::Set(d32, kRows > r ? starts[r * tile.n_blocks] : 0); \
  [[maybe_unused]] auto b##r = a##r;
#define ANABRANCH_ADD(r)                                                        \
  if constexpr (kRows > r) {                                                    \
    const auto x = all_four((r < 4 ? x0 : r < 8 ? x4 : x8) + (r % 4) * stride); \
    add_quads(a##r, w0, x);                                                     \
    add_quads(b##r, w1, x);                                                     \
  }
#define ANABRANCH_TOTAL(r)                                                                             \
  if constexpr (kRows > r) {                                                                           \
    const auto scale = hn::Set(df, scales[r * tile.n_blocks]);                                         \
    float* const to = sums + r * impl::kChannels;                                                      \
    hn::StoreU(hn::Add(hn::LoadU(df, to), hn::Mul(hn::ConvertTo(df, a##r), scale)), df, to);           \
    hn::StoreU(hn::Add(hn::LoadU(df, to + 16), hn::Mul(hn::ConvertTo(df, b##r), scale)), df, to + 16); \
  }

template <int kRows>
void sum_blocks(const impl::Tile& tile, float* HWY_RESTRICT sums) {
  const hn::FixedTag<float, 16> df;
  const hn::FixedTag<std::int32_t, 16> d32;
  const hn::FixedTag<std::uint8_t, 64> d8;
  const std::ptrdiff_t stride = tile.stride;
  const std::int8_t* HWY_RESTRICT x0 = tile.row8(0);
  [[maybe_unused]] const std::int8_t* HWY_RESTRICT x4 = x0 + 4 * stride;
  [[maybe_unused]] const std::int8_t* HWY_RESTRICT x8 = x0 + 8 * stride;
  const std::uint8_t* HWY_RESTRICT w = tile.panel;
  const std::int32_t* starts = tile.starts;
  const float* scales = tile.scales;
  std::memset(sums, 0, sizeof(float) * kRows * impl::kChannels);
  for (std::size_t left = tile.n_groups; left > 0;) {
    const std::size_t quads = std::min(left, kQuadsOfBlock);
    left -= quads;
    ANABRANCH_EACH_ROW(ANABRANCH_START)
    for (std::size_t quad = 0; quad < quads; ++quad) {
      if constexpr (kRows > 2) {  // with fewer rows the CPU's own look-ahead does better
        __builtin_prefetch(w + 8192, 0, 2);
        __builtin_prefetch(w + 8192 + 64, 0, 2);
      }
      const auto w0 = hn::LoadU(d8, w), w1 = hn::LoadU(d8, w + 64);
      ANABRANCH_EACH_ROW(ANABRANCH_ADD)
      w += 128;
      x0 += 4;
      if constexpr (kRows > 4) x4 += 4;
      if constexpr (kRows > 8) x8 += 4;
    }
    ANABRANCH_EACH_ROW(ANABRANCH_TOTAL)
    ++starts;
    ++scales;
  }
}

#undef ANABRANCH_EACH_ROW
#undef ANABRANCH_START
#undef ANABRANCH_ADD
#undef ANABRANCH_TOTAL
#endif

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
