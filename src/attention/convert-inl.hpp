// Converts rows of K, V and queries from one element type to another, and transposes between rows and lanes.

#if defined(ANABRANCH_ATTENTION_CONVERT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_CONVERT_INL
#undef ANABRANCH_ATTENTION_CONVERT_INL
#else
#define ANABRANCH_ATTENTION_CONVERT_INL
#endif

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/float16.hpp>

#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// The element types as memory holds them.
struct Float32 {
  using Stored = float;
  template <class D>
  static HWY_INLINE Vec<D> read(D d, const float* from) {
    return hn::LoadU(d, from);
  }
};

struct Bfloat16 {
  using Stored = std::uint16_t;
  template <class D>
  static HWY_INLINE Vec<D> read(D d, const std::uint16_t* from) {
    const hn::Rebind<std::uint16_t, D> d16;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(Words<D>(), hn::LoadU(d16, from))));
  }
  /// To nearest even; a NaN stays one.
  template <class D>
  static HWY_INLINE void write(D, Vec<D> x, std::uint16_t* to) {
    const Words<D> dw;
    const auto bits = hn::BitCast(dw, x);
    const auto lowest = hn::And(hn::ShiftRight<16>(bits), hn::Set(dw, 1u));
    const auto rounded = hn::Add(bits, hn::Add(lowest, hn::Set(dw, 0x7fffu)));
    const auto quiet = hn::Or(bits, hn::Set(dw, 0x400000u));
    const auto is_number = hn::RebindMask(dw, hn::Eq(x, x));
    const auto high = hn::ShiftRight<16>(hn::IfThenElse(is_number, rounded, quiet));
    const hn::Rebind<std::uint16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(Ints<D>(), high)), d16, to);
  }
};

/// AVX2 and later have instructions for float16 (F16C), and so has NEON on 64 bits.
struct Float16 {
  using Stored = std::uint16_t;
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || HWY_ARCH_ARM_A64
  template <class D>
  static HWY_INLINE Vec<D> read(D d, const std::uint16_t* from) {
    const hn::Rebind<hwy::float16_t, D> d16;
    return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(from)));
  }
  template <class D>
  static HWY_INLINE void write(D, Vec<D> x, std::uint16_t* to) {
    const hn::Rebind<hwy::float16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, x), d16, reinterpret_cast<hwy::float16_t*>(to));
  }
#else
  template <class D>
  static HWY_INLINE Vec<D> read(D d, const std::uint16_t* from) {
    HWY_ALIGN float x[hn::MaxLanes(D())];
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) x[i] = float16_to_float32(from[i]);
    return hn::Load(d, x);
  }
  template <class D>
  static HWY_INLINE void write(D d, Vec<D> v, std::uint16_t* to) {
    HWY_ALIGN float x[hn::MaxLanes(D())];
    hn::Store(v, d, x);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) to[i] = float32_to_float16(x[i]);
  }
#endif
};

/// The integer alone, without its scale.
struct Int8 {
  using Stored = std::int8_t;
  template <class D>
  static HWY_INLINE Vec<D> read(D d, const std::int8_t* from) {
    const hn::Rebind<std::int8_t, D> d8;
    return hn::ConvertTo(d, hn::PromoteTo(Ints<D>(), hn::LoadU(d8, from)));
  }
  template <class D>
  static HWY_INLINE void write(D, Vec<D> x, std::int8_t* to) {
    const hn::Rebind<std::int8_t, D> d8;
    hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(x)), d8, to);
  }
};

/// to[i] = from[i] * factor, in whole vectors and then one by one.
template <class From, class To>
HWY_INLINE void convert_row(const typename From::Stored* from, std::int32_t n, float factor, typename To::Stored* to) {
  const Full d;
  std::int32_t i = 0;
  for (; i + full_lanes() <= n; i += full_lanes())
    To::write(d, hn::Mul(From::read(d, from + i), hn::Set(d, factor)), to + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) To::write(one, hn::Mul(From::read(one, from + i), hn::Set(one, factor)), to + i);
}

/// to[i] = from[i] as float32.
template <class From>
HWY_INLINE void read_row(const typename From::Stored* from, std::int32_t n, float* to) {
  const Full d;
  std::int32_t i = 0;
  for (; i + full_lanes() <= n; i += full_lanes()) hn::StoreU(From::read(d, from + i), d, to + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) hn::StoreU(From::read(one, from + i), one, to + i);
}

/// True where nothing in the row is infinite or NaN.
template <class From>
HWY_INLINE bool all_finite(const typename From::Stored* from, std::int32_t n) {
  const hn::CappedTag<float, 1> one;
  bool finite = true;
  for (std::int32_t i = 0; i < n; ++i) {
    const float x = hn::GetLane(From::read(one, from + i));
    finite = finite && x - x == 0.0f;
  }
  return finite;
}

/// to[c][r] = from[r][c] for 32-bit elements of any kind; strides in elements.
HWY_INLINE void transpose(const float* from, std::ptrdiff_t from_stride, std::int32_t rows, std::int32_t columns,
                          float* to, std::ptrdiff_t to_stride) {
  std::int32_t r = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const hn::Repartition<double, decltype(d)> d2;
  for (; r + 4 <= rows; r += 4) {
    std::int32_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      const float* at = from + r * from_stride + c;
      const auto r0 = hn::LoadU(d, at);
      const auto r1 = hn::LoadU(d, at + from_stride);
      const auto r2 = hn::LoadU(d, at + 2 * from_stride);
      const auto r3 = hn::LoadU(d, at + 3 * from_stride);
      const auto a = hn::BitCast(d2, hn::InterleaveLower(d, r0, r1));
      const auto b = hn::BitCast(d2, hn::InterleaveLower(d, r2, r3));
      const auto e = hn::BitCast(d2, hn::InterleaveUpper(d, r0, r1));
      const auto f = hn::BitCast(d2, hn::InterleaveUpper(d, r2, r3));
      float* out = to + c * to_stride + r;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, a, b)), d, out);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, a, b)), d, out + to_stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d2, e, f)), d, out + 2 * to_stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d2, e, f)), d, out + 3 * to_stride);
    }
    for (; c < columns; ++c)
      for (std::int32_t i = r; i < r + 4; ++i)
        std::memcpy(to + c * to_stride + i, from + i * from_stride + c, sizeof(float));
  }
#endif
  for (; r < rows; ++r)
    for (std::int32_t c = 0; c < columns; ++c)
      std::memcpy(to + c * to_stride + r, from + r * from_stride + c, sizeof(float));
}

/// The same for elements of two 32-bit words; strides in words, `columns` in elements.
HWY_INLINE void transpose_twos(const float* from, std::ptrdiff_t from_stride, std::int32_t rows, std::int32_t columns,
                               float* to, std::ptrdiff_t to_stride) {
  for (std::int32_t c = 0; c < columns; ++c)
    for (std::int32_t r = 0; r < rows; ++r)
      std::memcpy(to + c * to_stride + 2 * r, from + r * from_stride + 2 * c, 2 * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
