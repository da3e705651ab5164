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

/// Bytes of the rows that one panel is multiplied with in turn: about half of a core's second-level cache.
constexpr std::int64_t kBlockBytes = 512 * 1024;

/// sum * scale of the channel + bias, each step rounded: the same everywhere.
HWY_INLINE VF scaled(const float* sums, const float* scales, const float* bias) {
  const DF df;
  return hn::Add(hn::Mul(hn::LoadU(df, sums), hn::LoadU(df, scales)), hn::LoadU(df, bias));
}

/// x / (1 + e^-y).
HWY_INLINE VF times_logistic(VF x, VF y) {
  const DF df;
  const VF one = hn::Set(df, 1.0f);
  return hn::Div(x, hn::Add(one, hn::Exp(df, hn::Min(hn::Neg(y), hn::Set(df, 88.0f)))));
}

/// The step from sums to results: of a matrix that is not gated, and of gated ones by their activation.
struct NoGate {
  static constexpr bool kGated = false;
};
struct Silu {
  static constexpr bool kGated = true;
  static HWY_INLINE VF gate(VF x) { return times_logistic(x, x); }
};
struct GeluTanh {
  static constexpr bool kGated = true;
  static HWY_INLINE VF gate(VF x) {
    const DF df;
    constexpr float kScale = 1.5957691216057308f;  // 2 sqrt(2 / pi)
    const VF cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), hn::Set(df, 0.044715f)), x, x);
    return times_logistic(x, hn::Mul(hn::Set(df, kScale), cubic));
  }
};

/// out (+)= the results of one row and panel.
template <class Gate, Write kWrite>
HWY_INLINE void finish(const float* HWY_RESTRICT sums, const float* scales, const float* bias,
                       float* HWY_RESTRICT out) {
  const DF df;
  const int n = static_cast<int>(hn::Lanes(df));
  constexpr int kWidth = Gate::kGated ? kChannels / 2 : kChannels;
  for (int c = 0; c < kWidth; c += n) {
    VF x = scaled(sums + c, scales + c, bias + c);
    if constexpr (Gate::kGated)
      x = hn::Mul(Gate::gate(x), scaled(sums + kWidth + c, scales + kWidth + c, bias + kWidth + c));
    if constexpr (kWrite == Write::add) x = hn::Add(hn::LoadU(df, out + c), x);
    hn::StoreU(x, df, out + c);
  }
}

/// Applies scales, bias and gate, and writes the results.
template <class Gate, Write kWrite>
void finish_rows(const Product& p, std::int32_t panel, std::int32_t row, int n_rows, const float* sums) {
  constexpr int kWidth = Gate::kGated ? kChannels / 2 : kChannels;
  const float* const scales = p.matrix->scales() + panel * kChannels;
  const float* const bias = p.matrix->bias() + panel * kChannels;
  const int width = std::min(kWidth, p.matrix->out() - panel * kWidth);
  for (int r = 0; r < n_rows; ++r, sums += kChannels) {
    float* const to = p.out.first + (row + r) * p.out.stride + panel * kWidth;
    if (width == kWidth) {
      finish<Gate, kWrite>(sums, scales, bias, to);
      continue;
    }
    HWY_ALIGN float part[kChannels] = {};  // the last panel has channels that the matrix does not
    std::copy_n(to, width, part);
    finish<Gate, kWrite>(sums, scales, bias, part);
    std::copy_n(part, width, to);
  }
}

using Finish = void (*)(const Product&, std::int32_t, std::int32_t, int, const float*);

template <class Gate>
Finish finish_by(Write write) {
  return write == Write::add ? finish_rows<Gate, Write::add> : finish_rows<Gate, Write::replace>;
}

Finish finish_of(const Product& p) {
  if (!p.matrix->gated()) return finish_by<NoGate>(p.out.write);
  if (p.matrix->activation() == Activation::gelu_tanh) return finish_by<GeluTanh>(p.out.write);
  return finish_by<Silu>(p.out.write);
}

using Sum = void (*)(const Tile&, float*);

template <int... kRows>
void sum_per_row(const Tile& tile, int n_rows, float* sums, std::integer_sequence<int, kRows...>) {
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

/// sums: [n_rows, 32], the products of a row's integers with a channel's, summed and times the row's scales.
void sum_rows(const Product& p, const Tile& tile, int n_rows, float* sums) {
  constexpr std::make_integer_sequence<int, kMaxRows> kCounts;
  if (p.rows->quantisation() == Quantisation::per_row) return sum_per_row(tile, n_rows, sums, kCounts);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  if (p.vnni) return sum_in_blocks(tile, n_rows, sums, kCounts);
#endif
  sum_blocks_plainly(tile, n_rows, sums);
}

/// n rows in as few tiles as possible, of nearly equal size: n_large tiles of `rows` rows, then tiles of one row less.
struct Tiles {
  explicit Tiles(std::int32_t n)
      : n_tiles((n + kMaxRows - 1) / kMaxRows), rows((n + n_tiles - 1) / n_tiles), n_large(n - n_tiles * (rows - 1)) {}
  std::int32_t n_tiles, rows, n_large;
  int rows_of(std::int32_t tile) const { return tile < n_large ? rows : rows - 1; }
};

void multiply_panels(const Product& p, std::int32_t begin, std::int32_t end) {
  HWY_ALIGN float sums[kMaxRows * kChannels];
  const QuantisedRows& x = *p.rows;
  const Finish finish = finish_of(p);
  const std::int32_t n_groups = p.matrix->n_groups(), n_blocks = x.n_blocks();
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
        finish(p, panel, row, n, sums);
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
