#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linear/product_kernels.cpp"
#include <algorithm>
#include <utility>

#include <hwy/foreach_target.h>  // compiles this file once per instruction set; first of all that is of Highway

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "blocks-inl.hpp"
#include "kernels.hpp"
#include "sums-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::linear::HWY_NAMESPACE {

using impl::Product;
using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;

/// Rows of one panel whose integers are about as many as fit into half of a core's second cache.
constexpr std::int64_t kBlockBytes = 512 * 1024;

/// sum * scale of the channel + bias, each step rounded: the same everywhere.
HWY_INLINE VF scaled(const float* sums, const float* scales, const float* bias) {
  const DF df;
  return hn::Add(hn::Mul(hn::LoadU(df, sums), hn::LoadU(df, scales)), hn::LoadU(df, bias));
}

HWY_INLINE VF silu(VF x) {
  const DF df;
  const VF one = hn::Set(df, 1.0f);
  return hn::Div(x, hn::Add(one, hn::Exp(df, hn::Min(hn::Neg(x), hn::Set(df, 88.0f)))));
}

/// Results of one row and panel, before they go to their place.
HWY_INLINE int finish(const Product& p, std::int32_t panel, const float* sums, float* out) {
  const DF df;
  const int n = static_cast<int>(hn::Lanes(df));
  const float* scales = p.matrix->scales() + panel * kChannels;
  const float* bias = p.matrix->bias() + panel * kChannels;
  if (p.matrix->gated()) {
    constexpr int kHalf = kChannels / 2;
    for (int c = 0; c < kHalf; c += n) {
      const VF gate = scaled(sums + c, scales + c, bias + c);
      const VF up = scaled(sums + kHalf + c, scales + kHalf + c, bias + kHalf + c);
      hn::StoreU(hn::Mul(silu(gate), up), df, out + c);
    }
    return kHalf;
  }
  for (int c = 0; c < kChannels; c += n) hn::StoreU(scaled(sums + c, scales + c, bias + c), df, out + c);
  return kChannels;
}

HWY_INLINE void put(const float* from, int n_floats, Write write, float* to) {
  const DF df;
  const int n = static_cast<int>(hn::Lanes(df));
  int c = 0;
  for (; c + n <= n_floats; c += n) {
    const VF x = hn::LoadU(df, from + c);
    hn::StoreU(write == Write::add ? hn::Add(hn::LoadU(df, to + c), x) : x, df, to + c);
  }
  for (; c < n_floats; ++c) to[c] = write == Write::add ? to[c] + from[c] : from[c];
}

/// Scales, bias, gate.
void finish_rows(const Product& p, std::int32_t panel, std::int32_t row, int n_rows, const float* sums) {
  HWY_ALIGN float out[kChannels];
  for (int r = 0; r < n_rows; ++r) {
    const int width = finish(p, panel, sums + r * kChannels, out);
    const std::int32_t first = panel * width;
    put(out, std::min(width, p.matrix->out() - first), p.out.write, p.out.first + (row + r) * p.out.stride + first);
  }
}

using Sum = void (*)(const Tile&, float*);

template <int... kRows>
void sum_whole(const Tile& tile, int n_rows, float* sums, std::integer_sequence<int, kRows...>) {
  static constexpr Sum kSums[] = {sum_panel<kRows + 1>...};
  kSums[n_rows - 1](tile, sums);
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
template <int... kRows>
void sum_in_blocks(const Tile& tile, int n_rows, float* sums, std::integer_sequence<int, kRows...>) {
  static constexpr Sum kSums[] = {sum_blocks<kRows + 1>...};
  kSums[n_rows - 1](tile, sums);
}
#endif

/// sums: [n_rows, 32], each of them a row's integers times a channel's, times the row's scales.
void sum_rows(const Product& p, const Tile& tile, int n_rows, float* sums) {
  constexpr std::make_integer_sequence<int, kMaxRows> kCounts;
  if (p.rows->form() == RowForm::whole) return sum_whole(tile, n_rows, sums, kCounts);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  if (p.vnni) return sum_in_blocks(tile, n_rows, sums, kCounts);
#endif
  sum_blocks_plainly(tile, n_rows, sums);
}

/// n rows in the fewest tiles, these as equal as can be: `first` of n_first rows, then of one row less.
struct Tiles {
  explicit Tiles(std::int32_t n)
      : n_tiles((n + kMaxRows - 1) / kMaxRows), rows((n + n_tiles - 1) / n_tiles), n_large(n - n_tiles * (rows - 1)) {}
  std::int32_t n_tiles, rows, n_large;
  int rows_of(std::int32_t tile) const { return tile < n_large ? rows : rows - 1; }
};

void multiply_panels(const Product& p, std::int32_t begin, std::int32_t end) {
  HWY_ALIGN float sums[kMaxRows * kChannels];
  const QuantisedRows& x = *p.rows;
  const auto n_groups = static_cast<std::size_t>(p.matrix->n_groups()),
             n_blocks = static_cast<std::size_t>(x.n_blocks());
  const auto block =
      static_cast<std::int32_t>(std::max<std::int64_t>(kMaxRows, kBlockBytes / x.stride() / kMaxRows * kMaxRows));
  for (std::int32_t first = 0; first < x.n_rows(); first += block) {
    const Tiles tiles(std::min(block, x.n_rows() - first));
    for (std::int32_t panel = begin; panel < end; ++panel) {
      std::int32_t row = first;
      for (std::int32_t t = 0; t < tiles.n_tiles; ++t) {
        const int n = tiles.rows_of(t);
        const Tile tile{p.matrix->panel(panel), n_groups,      x.row(row), x.stride(),
                        x.scales(row),          x.starts(row), n_blocks};
        sum_rows(p, tile, n, sums);
        finish_rows(p, panel, row, n, sums);
        row += n;
      }
    }
  }
}

}  // namespace anabranch::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::linear {

HWY_EXPORT(multiply_panels);

void impl::multiply_panels(const Product& product, std::int32_t begin, std::int32_t end) {
  HWY_DYNAMIC_DISPATCH(multiply_panels)(product, begin, end);
}

}  // namespace anabranch::linear
#endif
