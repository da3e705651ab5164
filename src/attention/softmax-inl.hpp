// The softmax of one tile of scores, all queries side by side: running maximum and sum (online softmax, Milakov and
// Gimelshein 2018), to base 2.

#if defined(ANABRANCH_ATTENTION_SOFTMAX_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_SOFTMAX_INL
#undef ANABRANCH_ATTENTION_SOFTMAX_INL
#else
#define ANABRANCH_ATTENTION_SOFTMAX_INL
#endif

#include "kernels.hpp"
#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// The maximum of nothing. Finite, so that a difference of two of them is a number.
inline constexpr float kNothing = -3.0e38f;

/// The larger one; NaN for a NaN. Max of x86 gives its second argument then, that of one lane the one that is a number.
template <class D, class V = Vec<D>>
HWY_INLINE V at_least(D d, float least, V x) {
  const V bound = hn::Set(d, least);
  if constexpr (HWY_TARGET == HWY_SCALAR) return hn::IfThenElse(hn::Gt(bound, x), bound, x);
  return hn::Max(bound, x);
}

/// 2^x for x <= 0; 0 below 2^-126, exactly 1 at 0, NaN for NaN. The polynomial of 2^f on [-1/2, 1/2] has a relative
/// error of 9.2e-8 (fitted for the least largest error).
template <class D, class V = Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  constexpr float kLeast = ANABRANCH_AVX512 ? -160.0f : -126.0f;
  const V near = at_least(d, kLeast, x);
  const V whole = hn::Round(near);
  const V f = hn::Sub(near, whole);
  V p = hn::MulAdd(hn::Set(d, 1.326472731e-3f), f, hn::Set(d, 9.671512991e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550733581e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402224243e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931470037e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
#if ANABRANCH_AVX512
  if constexpr (hn::MaxLanes(D()) == 16)
    return V{_mm512_scalef_ps(p.raw, whole.raw)};
  else if constexpr (hn::MaxLanes(D()) == 8)
    return V{_mm256_scalef_ps(p.raw, whole.raw)};
  else
    return V{_mm_scalef_ps(p.raw, whole.raw)};
#else
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(Ints<D>(), whole));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(Ints<D>(), p), exponent));
  return hn::IfThenElse(hn::Ge(x, hn::Set(d, kLeast)), scaled, f);  // f is 0 there, and NaN for NaN
#endif
}

/// The keys of one tile, for the softmax.
struct TileKeys {
  std::int32_t n = 0;
  std::int32_t begin = 0;                ///< offset in the segment
  bool hides = false;                    ///< some query sees only a part of them
  const float* key_factors = nullptr;    ///< [n]: scales of int8 keys, or null
  const float* value_factors = nullptr;  ///< [n]: the same of values
};

/// The scores of a key: times the scale of int8, and -infinity for queries that do not see it.
template <class D, class V = Vec<D>>
HWY_INLINE V score_of(D d, const TileKeys& keys, std::int32_t key, const float* at, Vec<Ints<D>> limits) {
  V score = hn::LoadU(d, at);
  if (keys.key_factors != nullptr) score = hn::Mul(score, hn::Set(d, keys.key_factors[key]));
  if (keys.hides) {
    const auto seen = hn::Gt(limits, hn::Set(Ints<D>(), keys.begin + key));
    score = hn::IfThenElse(hn::RebindMask(d, seen), score, hn::Set(d, -__builtin_inff()));
  }
  return score;
}

/// tanh by the rational function of Eigen's ptanh_float, to some units in the last place; NaN for NaN.
template <class D, class V = Vec<D>>
HWY_INLINE V tanh_of(D d, V x) {
  const V limit = hn::Set(d, 7.90531110763549805f);
  const V near = hn::Min(limit, hn::Max(hn::Neg(limit), x));
  const V square = hn::Mul(near, near);
  V p = hn::MulAdd(hn::Set(d, -2.76076847742355e-16f), square, hn::Set(d, 2.00018790482477e-13f));
  p = hn::MulAdd(p, square, hn::Set(d, -8.60467152213735e-11f));
  p = hn::MulAdd(p, square, hn::Set(d, 5.12229709037114e-08f));
  p = hn::MulAdd(p, square, hn::Set(d, 1.48572235717979e-05f));
  p = hn::MulAdd(p, square, hn::Set(d, 6.37261928875436e-04f));
  p = hn::MulAdd(p, square, hn::Set(d, 4.89352455891786e-03f));
  V q = hn::MulAdd(hn::Set(d, 1.19825839466702e-06f), square, hn::Set(d, 1.18534705686654e-04f));
  q = hn::MulAdd(q, square, hn::Set(d, 2.26843463243900e-03f));
  q = hn::MulAdd(q, square, hn::Set(d, 4.89352518554385e-03f));
  return hn::IfThenElse(hn::Eq(x, x), hn::Div(hn::Mul(near, p), q), x);
}

/// The changes of a tile's scores before the softmax, in a call with a soft cap or a window.
struct Preparation {
  float softcap = 0;          ///< to base 2; 0: none
  std::int32_t n_hidden = 0;  ///< first keys of the tile that some query's window leaves out
};

template <class D>
HWY_INLINE void prepare_lanes(D d, const Preparation& p, const TileKeys& keys, const Scratch& s, std::int32_t lane,
                              std::ptrdiff_t lanes) {
  float* at = s.scores + lane;
  for (std::int32_t key = 0; key < keys.n; ++key, at += lanes) {
    Vec<D> score = hn::LoadU(d, at);
    if (keys.key_factors != nullptr) score = hn::Mul(score, hn::Set(d, keys.key_factors[key]));
    if (p.softcap > 0) {
      const Vec<D> cap = hn::Set(d, p.softcap);
      score = hn::Mul(cap, tanh_of(d, hn::Div(score, cap)));
    }
    if (key < p.n_hidden) {
      const auto hidden = hn::Gt(hn::LoadU(Ints<D>(), s.starts + lane), hn::Set(Ints<D>(), keys.begin + key));
      score = hn::IfThenElse(hn::RebindMask(d, hidden), hn::Set(d, -__builtin_inff()), score);
    }
    hn::StoreU(score, d, at);
  }
}

/// Multiplies the scores with the scales of int8 keys, caps them, and sets those before a query's window to -infinity.
HWY_INLINE void prepare_scores(const Preparation& p, const TileKeys& keys, const Scratch& s, std::int32_t lanes) {
  if (p.softcap <= 0 && p.n_hidden == 0 && keys.key_factors == nullptr) return;
  std::int32_t lane = 0;
  for (; lane + full_lanes() <= lanes; lane += full_lanes()) prepare_lanes(Full(), p, keys, s, lane, lanes);
  if (lane < lanes) prepare_lanes(Half(), p, keys, s, lane, lanes);
}

/// Weights of two keys times the scales of their int8 values; the second key may be missing.
template <class D, class V = Vec<D>>
HWY_INLINE void scale_weights(D d, const TileKeys& keys, std::int32_t key, V& w0, V& w1) {
  if (keys.value_factors == nullptr) return;
  w0 = hn::Mul(w0, hn::Set(d, keys.value_factors[key]));
  if (key + 1 < keys.n) w1 = hn::Mul(w1, hn::Set(d, keys.value_factors[key + 1]));
}

/// Writes weights as float32 over the scores.
struct WriteFloats {
  template <class D, class V = Vec<D>>
  static HWY_INLINE void write(D d, const TileKeys& keys, std::int32_t key, std::ptrdiff_t lanes, V w0, V w1,
                               float* scores) {
    scale_weights(d, keys, key, w0, w1);
    hn::StoreU(w0, d, scores + key * lanes);
    if (key + 1 < keys.n) hn::StoreU(w1, d, scores + (key + 1) * lanes);
  }
};

#if ANABRANCH_AVX512
/// Writes the weights of two keys as a pair of bfloat16 over row key / 2 of the scores, which has been read by then.
struct WritePairs {
  template <class D, class V = Vec<D>>
  static HWY_INLINE void write(D d, const TileKeys& keys, std::int32_t key, std::ptrdiff_t lanes, V w0, V w1,
                               float* scores) {
    scale_weights(d, keys, key, w0, w1);
    hn::StoreU(pair(d, w0, w1), d, scores + (key / 2) * lanes);
  }

 private:
  /// vcvtne2ps2bf16 puts w0's after w1's; the permutation puts each beside its partner.
  static HWY_INLINE Vec<Full> pair(Full, Vec<Full> w0, Vec<Full> w1) {
    alignas(64) static constexpr std::uint16_t kBeside[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                              21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                              11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i both;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(both) : "v"(w1.raw), "v"(w0.raw));
    return Vec<Full>{_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_load_si512(kBeside), both))};
  }
  static HWY_INLINE Vec<Half> pair(Half, Vec<Half> w0, Vec<Half> w1) {
    alignas(32) static constexpr std::uint16_t kBeside[16] = {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};
    __m256i both;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(both) : "v"(w1.raw), "v"(w0.raw));
    const __m256i beside = _mm256_load_si256(reinterpret_cast<const __m256i*>(kBeside));
    return Vec<Half>{_mm256_castsi256_ps(_mm256_permutexvar_epi16(beside, both))};
  }
};
#endif

template <class D, class V = Vec<D>>
HWY_INLINE V largest(D d, const TileKeys& keys, const float* scores, std::ptrdiff_t lanes, Vec<Ints<D>> limits, V max) {
  V m0 = max;
  V m1 = max;
  std::int32_t key = 0;
  for (; key + 2 <= keys.n; key += 2) {
    m0 = hn::Max(m0, score_of(d, keys, key, scores + key * lanes, limits));
    m1 = hn::Max(m1, score_of(d, keys, key + 1, scores + (key + 1) * lanes, limits));
  }
  if (key < keys.n) m0 = hn::Max(m0, score_of(d, keys, key, scores + key * lanes, limits));
  return hn::Max(m0, m1);
}

/// Turns the scores of one vector of queries into weights, and updates maximum and sum. The sums of even and of odd
/// keys are added last.
template <class Write, class D>
HWY_INLINE void softmax_lanes(D d, const TileKeys& keys, const Scratch& s, std::int32_t lane, std::ptrdiff_t lanes) {
  using V = Vec<D>;
  float* scores = s.scores + lane;
  const auto limits = hn::LoadU(Ints<D>(), s.limits + lane);
  const V before = hn::LoadU(d, s.max + lane);
  const V max = largest(d, keys, scores, lanes, limits, before);
  V even = hn::Zero(d);
  V odd = hn::Zero(d);
  for (std::int32_t key = 0; key < keys.n; key += 2) {
    const V w0 = exp2(d, hn::Sub(score_of(d, keys, key, scores + key * lanes, limits), max));
    V w1 = hn::Zero(d);
    if (key + 1 < keys.n) w1 = exp2(d, hn::Sub(score_of(d, keys, key + 1, scores + (key + 1) * lanes, limits), max));
    even = hn::Add(even, w0);
    odd = hn::Add(odd, w1);
    Write::write(d, keys, key, lanes, w0, w1, scores);
  }
  const V shrink = exp2(d, hn::Sub(before, max));
  hn::StoreU(max, d, s.max + lane);
  hn::StoreU(shrink, d, s.shrink + lane);
  hn::StoreU(hn::MulAdd(hn::LoadU(d, s.sum + lane), shrink, hn::Add(even, odd)), d, s.sum + lane);
}

template <class Write>
HWY_INLINE void softmax(const TileKeys& keys, const Scratch& s, std::int32_t lanes) {
  std::int32_t lane = 0;
  for (; lane + full_lanes() <= lanes; lane += full_lanes()) softmax_lanes<Write>(Full(), keys, s, lane, lanes);
  if (lane < lanes) softmax_lanes<Write>(Half(), keys, s, lane, lanes);
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
