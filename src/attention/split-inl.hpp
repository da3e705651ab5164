// Few queries and bfloat16 rows with AVX2, whose vectors are too few to convert a tile beforehand: rows are multiplied
// as they lie in memory.
//
// Four bytes of a row are two elements: shifted left they are the even one as float32, masked the odd one. Sums run in
// the same order as everywhere else, so the bits are the same.

#if defined(ANABRANCH_ATTENTION_SPLIT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_SPLIT_INL
#undef ANABRANCH_ATTENTION_SPLIT_INL
#else
#define ANABRANCH_ATTENTION_SPLIT_INL
#endif

#include "lanes-inl.hpp"
#include "multiply-inl.hpp"
#include "prefetch.hpp"
#include "scores-inl.hpp"
#include "values-inl.hpp"

#if HWY_TARGET == HWY_AVX2
HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// Elements that stand apart at a time: head_dim has to be a multiple.
inline constexpr std::int32_t kSplitWidth = 16;

using SplitWord = Vec<Words<Full>>;
HWY_INLINE Vec<Full> even_of(SplitWord x) { return hn::BitCast(Full(), hn::ShiftLeft<16>(x)); }
HWY_INLINE Vec<Full> odd_of(SplitWord x) {
  return hn::BitCast(Full(), hn::And(x, hn::Set(Words<Full>(), 0xffff0000u)));
}

/// Loops ask for memory prefetch once in so many steps: a tile's worth of steps is short.
inline constexpr std::int32_t kSplitTurn = 16;

template <int kM, int kSize>
HWY_INLINE void split_key(const char* key, Vec<Full> even, Vec<Full> odd, Vec<Full> (&acc)[kSize]) {
  const SplitWord x = hn::BitCast(Words<Full>(), broadcast(Full(), key));
  acc[kM] = hn::MulAdd(even_of(x), even, acc[kM]);
  acc[kM] = hn::MulAdd(odd_of(x), odd, acc[kM]);
}

/// Elements 2 k and 2 k + 1 of all keys. Three keys share a pointer: the address of each is one instruction's operand.
template <int kSize, std::size_t... m>
HWY_INLINE void split_unit(const char* const* keys, std::ptrdiff_t stride, const float* queries, std::int32_t k,
                           Vec<Full> (&acc)[kSize], std::index_sequence<m...>) {
  const Vec<Full> even = hn::LoadU(Full(), queries + std::ptrdiff_t{2} * k * kFew);
  const Vec<Full> odd = hn::LoadU(Full(), queries + (std::ptrdiff_t{2} * k + 1) * kFew);
  (split_key<static_cast<int>(m)>(keys[m / 3] + static_cast<std::ptrdiff_t>(m % 3) * stride + std::ptrdiff_t{4} * k,
                                  even, odd, acc),
   ...);
}

/// kM keys by up to eight queries.
template <int kM>
HWY_NOINLINE void split_score_block(const ScoreOperands& o) {
  const Full d;
  constexpr int kPointers = (kM + 2) / 3;
  constexpr std::int32_t kUnits = 4;  // head_dim is a multiple of 16: depth of 8
  Vec<Full> acc[kM];
  set_zero(d, acc, kIndices<kM>);
  const char* keys[kPointers];
  for (int i = 0; i < kPointers; ++i) keys[i] = o.keys + 3 * i * o.key_stride;
  const float* queries = o.queries;
  const std::ptrdiff_t stride = o.key_stride;
  for (std::int32_t k = 0; k < o.depth; k += kUnits) {
    if (k % kSplitTurn == 0) o.prefetch->turn();
    for (auto& key : keys) asm("" : "+r"(key));  // or the compiler computes an address per key
#pragma GCC unroll 4
    for (std::int32_t i = 0; i < kUnits; ++i) split_unit(keys, stride, queries, i, acc, kIndices<kM>);
    queries += std::ptrdiff_t{2} * kUnits * kFew;
    for (auto& key : keys) key += 4 * kUnits;
  }
  store_block<1>(d, acc, o.scores, kFew, kIndices<kM>);
}

/// `keys` of the operands are bfloat16, units pairs of them, lanes kFew.
HWY_INLINE void score_split(ScoreOperands o, std::int32_t n_keys) {
  constexpr int kM = 8;
  o.prefetch->spread((n_keys + kM - 1) / kM * ((o.depth + kSplitTurn - 1) / kSplitTurn));
  for (; n_keys >= kM; n_keys -= kM, next_keys(o, kM)) split_score_block<kM>(o);
  for (; n_keys > 0; --n_keys, next_keys(o, 1)) split_score_block<1>(o);
}

template <int kN, int kSize, std::size_t... q>
HWY_INLINE void add_split_elements(const std::uint16_t* row, const char* weights, std::size_t n,
                                   Vec<Full> (&acc)[kSize], std::index_sequence<q...>) {
  const SplitWord x = hn::BitCast(Words<Full>(), hn::LoadU(hn::ScalableTag<std::uint16_t>(), row + n * kSplitWidth));
  const Vec<Full> v[2] = {even_of(x), odd_of(x)};
  const auto add = [&](std::size_t i, Vec<Full> weight) HWY_ATTR {
    acc[i * kN + 2 * n] = hn::MulAdd(v[0], weight, acc[i * kN + 2 * n]);
    acc[i * kN + 2 * n + 1] = hn::MulAdd(v[1], weight, acc[i * kN + 2 * n + 1]);
  };
  (add(q, broadcast(Full(), weights + 4 * q)), ...);
}

template <int kQ, int kN, std::size_t... n>
HWY_INLINE void add_split_value(const std::uint16_t* row, const float* weights, Vec<Full> (&acc)[kQ * kN],
                                std::index_sequence<n...>) {
  (add_split_elements<kN>(row, reinterpret_cast<const char*>(weights), n, acc, kIndices<kQ>), ...);
}

/// kQ queries by kN vectors: even elements of sixteen, then the odd ones.
template <int kQ, int kN>
HWY_NOINLINE void split_value_block(const FewOperands<std::uint16_t>& o, std::int32_t at) {
  Vec<Full> acc[kQ * kN];
  load_shrunk<kN>(o, at, acc, kIndices<kQ * kN>);
  for (std::int32_t k = 0; k < o.depth; ++k) {
    if (k % kSplitTurn == 0) o.prefetch->turn();
    add_split_value<kQ, kN>(o.values[k] + at, o.weights + std::ptrdiff_t{k} * kFew, acc, kIndices<kN / 2>);
  }
  store_block<kN>(Full(), acc, o.out + at, o.dim, kIndices<kQ * kN>);
}

template <int kQ>
HWY_NOINLINE void add_split_values(const FewOperands<std::uint16_t>& o) {
  constexpr int kN = kQ == 1 ? 8 : kQ == 2 ? 4 : 2;  // at least eight sums: a sum's additions wait for each other
  o.prefetch->spread((o.dim / full_lanes() + kN - 1) / kN * ((o.depth + kSplitTurn - 1) / kSplitTurn));
  std::int32_t at = 0;
  for (; at + kN * full_lanes() <= o.dim; at += kN * full_lanes()) split_value_block<kQ, kN>(o, at);
  for (; at < o.dim; at += kSplitWidth) split_value_block<kQ, 2>(o, at);
}

/// Like add_few_values, but `out` holds, of sixteen elements, the even ones before the odd ones.
HWY_INLINE void add_split_values(std::int32_t n_queries, FewOperands<std::uint16_t> o) {
  while (n_queries > 0) {
    const std::int32_t n = n_queries == 7 ? 5 : std::min(n_queries, n_queries > 5 ? 4 : 5);
    switch (n) {
      case 1: add_split_values<1>(o); break;
      case 2: add_split_values<2>(o); break;
      case 3: add_split_values<3>(o); break;
      case 4: add_split_values<4>(o); break;
      default: add_split_values<5>(o); break;
    }
    n_queries -= n;
    o.weights += n;
    o.shrink += n;
    o.out += std::ptrdiff_t{n} * o.dim;
  }
}

/// to[i] = what add_split_values left, in order. `n` is a multiple of kSplitWidth.
HWY_INLINE void join_split(const float* from, std::ptrdiff_t n, float* to) {
  const Full d;
  for (std::ptrdiff_t i = 0; i < n; i += kSplitWidth) {
    const auto even = hn::LoadU(d, from + i);
    const auto odd = hn::LoadU(d, from + i + 8);
    const auto low = hn::InterleaveLower(d, even, odd);
    const auto high = hn::InterleaveUpper(d, even, odd);
    hn::StoreU(hn::ConcatLowerLower(d, high, low), d, to + i);
    hn::StoreU(hn::ConcatUpperUpper(d, high, low), d, to + i + 8);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();
#endif

#endif
