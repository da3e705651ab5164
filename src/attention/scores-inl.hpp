// Computes the scores of one tile, keys times queries: scores[key][query], queries side by side in the lanes.
//
// A score sums over the four-byte units of a key (an element, or a pair of bfloat16) in order; with AVX-512 over the
// even and the odd ones apart, and then adds the two sums. Block shapes differ in speed, not in bits.

#if defined(ANABRANCH_ATTENTION_SCORES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_SCORES_INL
#undef ANABRANCH_ATTENTION_SCORES_INL
#else
#define ANABRANCH_ATTENTION_SCORES_INL
#endif

#include "lanes-inl.hpp"
#include "multiply-inl.hpp"
#include "prefetch.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

inline constexpr bool kTwoSums = ANABRANCH_AVX512 != 0;

struct ScoreOperands {
  const char* keys = nullptr;      ///< unit k of key m at m * key_stride + 4 k bytes
  std::ptrdiff_t key_stride = 0;   ///< bytes
  const float* queries = nullptr;  ///< [depth, lanes]; for few queries see below
  float* scores = nullptr;         ///< [keys, lanes]
  std::ptrdiff_t lanes = 0;
  std::int32_t depth = 0;  ///< units of a key
  Prefetch* prefetch = nullptr;
};

HWY_INLINE void next_keys(ScoreOperands& o, std::int32_t n) {
  o.keys += n * o.key_stride;
  o.scores += n * o.lanes;
}

template <class Multiply, int kM, class D, int kN, int kSize, std::size_t... n>
HWY_INLINE void score_key(D d, const char* key, const Vec<D> (&query)[kN], Vec<D> (&acc)[kSize],
                          std::index_sequence<n...>) {
  const Vec<D> x = broadcast(d, key);
  ((acc[kM * kN + static_cast<int>(n)] = Multiply::add(x, query[n], acc[kM * kN + static_cast<int>(n)])), ...);
}

/// Adds unit k of the block's keys.
template <class Multiply, int kN, class D, int kSize, std::size_t... m>
HWY_INLINE void score_unit(D d, const ScoreOperands& o, std::int32_t k, Vec<D> (&acc)[kSize],
                           std::index_sequence<m...>) {
  Vec<D> query[kN];
  load_row(d, o.queries + k * o.lanes, query, kIndices<kN>);
  const char* key = o.keys + std::ptrdiff_t{4} * k;
  (score_key<Multiply, static_cast<int>(m)>(d, key + static_cast<std::ptrdiff_t>(m) * o.key_stride, query, acc,
                                            kIndices<kN>),
   ...);
}

/// kM keys by kN vectors of queries.
template <class Multiply, int kM, int kN, class D>
HWY_NOINLINE void score_block(D d, const ScoreOperands& o) {
  constexpr int kOdd = kTwoSums ? kM * kN : 1;
  Vec<D> sum[kM * kN];
  Vec<D> odd[kOdd];
  set_zero(d, sum, kIndices<kM * kN>);
  set_zero(d, odd, kIndices<kOdd>);
  const auto add = [&](std::int32_t k) HWY_ATTR {
    score_unit<Multiply, kN>(d, o, k, sum, kIndices<kM>);
    if constexpr (kTwoSums)
      score_unit<Multiply, kN>(d, o, k + 1, odd, kIndices<kM>);
    else
      score_unit<Multiply, kN>(d, o, k + 1, sum, kIndices<kM>);
  };
  std::int32_t k = 0;
  for (; k + kTurn <= o.depth; k += kTurn) {
    o.prefetch->turn();
    add(k);
    add(k + 2);
  }
  for (; k + 2 <= o.depth; k += 2) add(k);
  if (k < o.depth) score_unit<Multiply, kN>(d, o, k, sum, kIndices<kM>);
  if constexpr (kTwoSums) add_all(sum, odd, kIndices<kM * kN>);
  store_block<kN>(d, sum, o.scores, o.lanes, kIndices<kM * kN>);
}

/// All n keys, kN vectors of queries.
template <class Multiply, int kM, int kN, class D>
HWY_INLINE void score_column(D d, ScoreOperands o, std::int32_t n) {
  o.prefetch->spread((n + kM - 1) / kM * (o.depth / kTurn));
  for (; n >= kM; n -= kM, next_keys(o, kM)) score_block<Multiply, kM, kN>(d, o);
  for (; n > 0; --n, next_keys(o, 1)) score_block<Multiply, 1, kN>(d, o);
}

HWY_INLINE void next_queries(ScoreOperands& o, std::int32_t n) {
  o.queries += n;
  o.scores += n;
}

/// Blocks fill the register file: 32 registers with AVX-512 and NEON, else 16.
template <class Multiply>
HWY_INLINE void score_many(ScoreOperands o, std::int32_t n_keys) {
  const Full d;
  const std::int32_t width = full_lanes();
  auto n = static_cast<std::int32_t>(o.lanes);
#if ANABRANCH_AVX512
  for (; n >= 4 * width; n -= 4 * width, next_queries(o, 4 * width)) score_column<Multiply, 3, 4>(d, o, n_keys);
  for (; n >= 3 * width; n -= 3 * width, next_queries(o, 3 * width)) score_column<Multiply, 4, 3>(d, o, n_keys);
#elif HWY_TARGET == HWY_NEON
  for (; n >= 4 * width; n -= 4 * width, next_queries(o, 4 * width)) score_column<Multiply, 6, 4>(d, o, n_keys);
#endif
  for (; n >= 2 * width; n -= 2 * width, next_queries(o, 2 * width)) score_column<Multiply, 6, 2>(d, o, n_keys);
  for (; n >= width; n -= width, next_queries(o, width)) score_column<Multiply, 12, 1>(d, o, n_keys);
  if (n > 0) score_column<Multiply, 12, 1>(Half(), o, n_keys);
}

#if ANABRANCH_AVX512
// Few queries: the even and the odd sums of eight of them fill a vector (of four: half a vector), and two units of a
// key are broadcast at once. `queries` is [depth / 2, 8 or 4, 2] then, and `lanes` is kFew in any case.

template <class Multiply, int kM, class D, int kSize>
HWY_INLINE void few_key(D d, const char* key, Vec<D> query, Vec<D> (&acc)[kSize]) {
  std::int64_t units;
  std::memcpy(&units, key, sizeof units);
  acc[kM] = Multiply::add(hn::BitCast(d, hn::Set(hn::Repartition<std::int64_t, D>(), units)), query, acc[kM]);
}

template <class Multiply, class D, int kSize, std::size_t... m>
HWY_INLINE void few_units(D d, const ScoreOperands& o, std::int32_t k, Vec<D> (&acc)[kSize],
                          std::index_sequence<m...>) {
  const Vec<D> query = hn::LoadU(d, o.queries + k / 2 * static_cast<std::ptrdiff_t>(hn::Lanes(d)));
  const char* key = o.keys + std::ptrdiff_t{4} * k;
  (few_key<Multiply, static_cast<int>(m)>(d, key + static_cast<std::ptrdiff_t>(m) * o.key_stride, query, acc), ...);
}

/// Even plus odd sums of eight queries; of four: twice.
HWY_INLINE void store_few(Full d, Vec<Full> sums, float* scores) {
  hn::StoreU(hn::LowerHalf(Half(), hn::Add(hn::ConcatEven(d, sums, sums), hn::ConcatOdd(d, sums, sums))), Half(),
             scores);
}
HWY_INLINE void store_few(Half d, Vec<Half> sums, float* scores) {
  hn::StoreU(hn::Add(hn::ConcatEven(d, sums, sums), hn::ConcatOdd(d, sums, sums)), d, scores);
}
template <class D, int kSize, std::size_t... m>
HWY_INLINE void store_all_few(D d, const Vec<D> (&acc)[kSize], const ScoreOperands& o, std::index_sequence<m...>) {
  (store_few(d, acc[m], o.scores + static_cast<std::ptrdiff_t>(m) * o.lanes), ...);
}

template <class Multiply, int kM, class D>
HWY_NOINLINE void few_score_block(D d, const ScoreOperands& o) {
  Vec<D> acc[kM];
  set_zero(d, acc, kIndices<kM>);
  for (std::int32_t k = 0; k < o.depth; k += 2) {
    if (k % (2 * kTurn) == 0) o.prefetch->turn();
    few_units<Multiply>(d, o, k, acc, kIndices<kM>);
  }
  store_all_few(d, acc, o, kIndices<kM>);
}

/// REQUIRES: an even depth.
template <class Multiply, class D>
HWY_INLINE void score_few(D d, ScoreOperands o, std::int32_t n_keys) {
  constexpr int kM = 12;
  o.prefetch->spread((n_keys + kM - 1) / kM * (o.depth / (2 * kTurn)));
  for (; n_keys >= kM; n_keys -= kM, next_keys(o, kM)) few_score_block<Multiply, kM>(d, o);
  for (; n_keys > 0; --n_keys, next_keys(o, 1)) few_score_block<Multiply, 1>(d, o);
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
