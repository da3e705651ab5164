// Block products of the kernels: C[m][q] += sum over k of A[m][k] B[k][q], queries q side by side in the lanes.
//
// A is broadcast from memory, four bytes at a time: one float32, or two bfloat16 that multiply the two of B's lane. A
// sum runs over k from 0 on, one k after the other, whatever the block's shape: blocks differ in speed, not in bits.

#if defined(ANABRANCH_ATTENTION_PRODUCT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_PRODUCT_INL
#undef ANABRANCH_ATTENTION_PRODUCT_INL
#else
#define ANABRANCH_ATTENTION_PRODUCT_INL
#endif

#include <algorithm>

#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// acc + a * b in float32.
struct MultiplyFloats {
  template <class D, class V = Vec<D>>
  static HWY_INLINE V broadcast(D d, const char* a) {
    float x;
    std::memcpy(&x, a, sizeof x);
    return hn::Set(d, x);
  }
  template <class V>
  static HWY_INLINE V add(V a, V b, V acc) {
    return hn::MulAdd(a, b, acc);
  }
};

#if ANABRANCH_AVX512
/// acc + a.low * b.low + a.high * b.high, bfloat16 times bfloat16. As assembly, because Highway 1.0 has no target whose
/// compiler flags include the instruction; used where the CPU reports avx512_bf16.
struct MultiplyPairs {
  template <class D, class V = Vec<D>>
  static HWY_INLINE V broadcast(D d, const char* a) {
    std::int32_t x;
    std::memcpy(&x, a, sizeof x);
    return hn::BitCast(d, hn::Set(Ints<D>(), x));
  }
  template <class V>
  static HWY_INLINE V add(V a, V b, V acc) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(acc.raw) : "v"(b.raw), "v"(a.raw));
    return acc;
  }
};
#endif

/// How A lies in memory: element (m, k) at m * stride + 4 k, or at 4 m + k * stride (bytes).
enum class Walk { along_rows, across_rows };

template <Walk kWalk, int kM>
HWY_INLINE const char* element(const char* a, std::ptrdiff_t stride) {
  return kWalk == Walk::along_rows ? a + kM * stride : a + 4 * kM;
}

template <class Multiply, Walk kWalk, int kM, class D, int kN, int kSize, std::size_t... n>
HWY_INLINE void multiply_row(D d, const char* a, std::ptrdiff_t stride, const Vec<D> (&b)[kN], Vec<D> (&acc)[kSize],
                             std::index_sequence<n...>) {
  const Vec<D> x = Multiply::broadcast(d, element<kWalk, kM>(a, stride));
  ((acc[kM * kN + static_cast<int>(n)] = Multiply::add(x, b[n], acc[kM * kN + static_cast<int>(n)])), ...);
}

template <class D, int kN, std::size_t... n>
HWY_INLINE void load_row(D d, const float* from, Vec<D> (&to)[kN], std::index_sequence<n...>) {
  ((to[n] = hn::LoadU(d, from + n * hn::Lanes(d))), ...);
}

template <class D, int kN, int kSize, std::size_t... i>
HWY_INLINE void start_zero(D d, Vec<D> (&acc)[kSize], std::index_sequence<i...>) {
  ((acc[i] = hn::Zero(d)), ...);
}
template <class D, int kN, int kSize, std::size_t... i>
HWY_INLINE void start_shrunk(D d, const float* c, std::ptrdiff_t lanes, const float* shrink, Vec<D> (&acc)[kSize],
                             std::index_sequence<i...>) {
  const auto width = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  ((acc[i] = hn::Mul(hn::LoadU(d, c + static_cast<std::ptrdiff_t>(i / kN) * lanes + (i % kN) * width),
                     hn::LoadU(d, shrink + (i % kN) * width))),
   ...);
}
template <class D, int kN, int kSize, std::size_t... i>
HWY_INLINE void store_block(D d, const Vec<D> (&acc)[kSize], float* c, std::ptrdiff_t lanes,
                            std::index_sequence<i...>) {
  const auto width = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  (hn::StoreU(acc[i], d, c + static_cast<std::ptrdiff_t>(i / kN) * lanes + (i % kN) * width), ...);
}

/// Rows of memory that are needed soon. Blocks ask for some of them each, so that they arrive while there is work.
struct Ahead {
  const void* const* rows = nullptr;  ///< [n_rows]
  std::int32_t n_rows = 0;
  std::int32_t row_bytes = 0;
  std::int32_t asked = 0;  ///< rows that were asked for

  /// Asks for the share of `part` in `whole`.
  HWY_INLINE void fetch(std::int32_t part, std::int32_t whole) {
    const std::int32_t until = std::min(n_rows, asked + (n_rows * part + whole - 1) / whole);
    for (; asked < until; ++asked)
      for (std::int32_t byte = 0; byte < row_bytes; byte += 64)
        __builtin_prefetch(static_cast<const char*>(rows[asked]) + byte, 0, 2);  // into the second level
  }
};

/// A, B and C of one product. `lanes` is the length of a row of B and C, in floats.
struct Operands {
  const char* a = nullptr;
  std::ptrdiff_t a_stride = 0;  ///< bytes
  const float* b = nullptr;
  float* c = nullptr;
  std::ptrdiff_t lanes = 0;
  std::int32_t depth = 0;         ///< number of k
  const float* shrink = nullptr;  ///< [lanes]: C starts as what it was times this; null: as 0
  Ahead* ahead = nullptr;
};

template <class Multiply, Walk kWalk, class D, int kN, int kSize, std::size_t... m>
HWY_INLINE void multiply_block(D d, const Operands& o, Vec<D> (&acc)[kSize], std::index_sequence<m...>) {
  const auto columns = std::make_index_sequence<static_cast<std::size_t>(kN)>();
  const char* a = o.a;
  const float* b = o.b;
  const std::ptrdiff_t step = kWalk == Walk::along_rows ? 4 : o.a_stride;
  for (std::int32_t k = 0; k < o.depth; ++k) {
    Vec<D> row[kN];
    load_row(d, b, row, columns);
    (multiply_row<Multiply, kWalk, static_cast<int>(m)>(d, a, o.a_stride, row, acc, columns), ...);
    a += step;
    b += o.lanes;
  }
}

/// A block of kM x kN vectors.
template <class Multiply, Walk kWalk, int kM, int kN, class D>
HWY_NOINLINE void block(D d, const Operands& o) {
  constexpr int kSize = kM * kN;
  const auto all = std::make_index_sequence<static_cast<std::size_t>(kSize)>();
  Vec<D> acc[kSize];
  if (kWalk == Walk::along_rows)
    start_zero<D, kN>(d, acc, all);
  else
    start_shrunk<D, kN>(d, o.c, o.lanes, o.shrink, acc, all);
  multiply_block<Multiply, kWalk, D, kN>(d, o, acc, std::make_index_sequence<static_cast<std::size_t>(kM)>());
  store_block<D, kN>(d, acc, o.c, o.lanes, all);
}

template <Walk kWalk>
HWY_INLINE void advance_rows(Operands& o, std::int32_t m) {
  o.a += kWalk == Walk::along_rows ? m * o.a_stride : 4 * std::ptrdiff_t{m};
  o.c += m * o.lanes;
}

/// All m rows of a column of blocks, kN vectors wide.
template <class Multiply, Walk kWalk, int kM, int kN, class D>
HWY_INLINE void column(D d, Operands o, std::int32_t m) {
  for (const std::int32_t whole = m; m >= kM; m -= kM, advance_rows<kWalk>(o, kM)) {
    o.ahead->fetch(kM, whole);
    block<Multiply, kWalk, kM, kN>(d, o);
  }
  for (; m >= 4; m -= 4, advance_rows<kWalk>(o, 4)) block<Multiply, kWalk, 4, kN>(d, o);
  for (; m >= 2; m -= 2, advance_rows<kWalk>(o, 2)) block<Multiply, kWalk, 2, kN>(d, o);
  if (m > 0) block<Multiply, kWalk, 1, kN>(d, o);
}

HWY_INLINE void advance_columns(Operands& o, std::int32_t n) {
  o.b += n;
  o.c += n;
  if (o.shrink != nullptr) o.shrink += n;
}

/// The whole product, m rows by o.lanes queries. Blocks fill the register file: 32 registers with AVX-512 and NEON.
template <class Multiply, Walk kWalk>
HWY_INLINE void product(Operands o, std::int32_t m) {
  const Full d;
  const std::int32_t width = full_lanes();
  auto n = static_cast<std::int32_t>(o.lanes);
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
  for (; n >= 4 * width; n -= 4 * width, advance_columns(o, 4 * width)) column<Multiply, kWalk, 6, 4>(d, o, m);
  if (n >= 3 * width) {
    column<Multiply, kWalk, 8, 3>(d, o, m);
    n -= 3 * width;
    advance_columns(o, 3 * width);
  }
  if (n >= 2 * width) {
    column<Multiply, kWalk, 12, 2>(d, o, m);
    n -= 2 * width;
    advance_columns(o, 2 * width);
  }
#else
  for (; n >= 2 * width; n -= 2 * width, advance_columns(o, 2 * width)) column<Multiply, kWalk, 6, 2>(d, o, m);
#endif
  for (; n >= width; n -= width, advance_columns(o, width)) column<Multiply, kWalk, 12, 1>(d, o, m);
  if (n > 0) column<Multiply, kWalk, 12, 1>(Half(), o, m);
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
