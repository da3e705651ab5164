// The two multiplications, of float32 and of pairs of bfloat16, and the steps that all block products share.
//
// In all of them one operand is broadcast from memory, four bytes at a time: one float32, or two bfloat16 that multiply
// the two of each lane.

#if defined(ANABRANCH_ATTENTION_MULTIPLY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_MULTIPLY_INL
#undef ANABRANCH_ATTENTION_MULTIPLY_INL
#else
#define ANABRANCH_ATTENTION_MULTIPLY_INL
#endif

#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE Vec<D> broadcast(D d, const char* from) {
  std::int32_t x;
  std::memcpy(&x, from, sizeof x);
  return hn::BitCast(d, hn::Set(Ints<D>(), x));
}

/// acc + a * b in float32.
struct MultiplyFloats {
  template <class V>
  static HWY_INLINE V add(V a, V b, V acc) {
    return hn::MulAdd(a, b, acc);
  }
  /// The same with b broadcast from memory.
  static HWY_INLINE Vec<Full> add(Vec<Full> a, const char* b, Vec<Full> acc) {
    return hn::MulAdd(a, broadcast(Full(), b), acc);
  }
};

#if ANABRANCH_AVX512
/// acc + a.low * b.low + a.high * b.high, bfloat16 times bfloat16. As assembly, because Highway 1.0 has no target whose
/// compiler flags include the instruction; used where the CPU reports avx512_bf16.
struct MultiplyPairs {
  template <class V>
  static HWY_INLINE V add(V a, V b, V acc) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(acc.raw) : "v"(b.raw), "v"(a.raw));
    return acc;
  }
  /// As one instruction, so that no register holds b between uses.
  static HWY_INLINE Vec<Full> add(Vec<Full> a, const char* b, Vec<Full> acc) {
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(acc.raw) : "v"(a.raw), "m"(*reinterpret_cast<const float*>(b)));
    return acc;
  }
};
#endif

template <int kN>
inline constexpr auto kIndices = std::make_index_sequence<static_cast<std::size_t>(kN)>();

/// Loads the kN vectors of a row.
template <class D, int kN, std::size_t... n>
HWY_INLINE void load_row(D d, const float* from, Vec<D> (&to)[kN], std::index_sequence<n...>) {
  ((to[n] = hn::LoadU(d, from + n * hn::Lanes(d))), ...);
}

template <class D, int kSize, std::size_t... i>
HWY_INLINE void set_zero(D d, Vec<D> (&acc)[kSize], std::index_sequence<i...>) {
  ((acc[i] = hn::Zero(d)), ...);
}

template <class V, int kSize, std::size_t... i>
HWY_INLINE void add_all(V (&acc)[kSize], const V (&other)[kSize], std::index_sequence<i...>) {
  ((acc[i] = hn::Add(acc[i], other[i])), ...);
}

/// Stores a block whose rows are kN vectors each, `stride` floats apart.
template <int kN, class D, int kSize, std::size_t... i>
HWY_INLINE void store_block(D d, const Vec<D> (&acc)[kSize], float* to, std::ptrdiff_t stride,
                            std::index_sequence<i...>) {
  const auto width = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  (hn::StoreU(acc[i], d, to + static_cast<std::ptrdiff_t>(i / kN) * stride + (i % kN) * width), ...);
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
