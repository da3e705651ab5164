// Weights times values of one tile, added to what the tiles before gave.
//
// Each element sums over the keys (or pairs of keys) in order, whatever the block's shape. Many queries stand in the
// lanes, and values are broadcast; for a handful of queries (one row's query heads that share a KV head) the lanes hold
// a value's elements, which need not be rearranged then. The instructions per element are the same: so are the bits.

#if defined(ANABRANCH_ATTENTION_VALUES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_VALUES_INL
#undef ANABRANCH_ATTENTION_VALUES_INL
#else
#define ANABRANCH_ATTENTION_VALUES_INL
#endif

#include "lanes-inl.hpp"
#include "multiply-inl.hpp"
#include "prefetch.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// out[d][q] = out[d][q] * shrink[q] + sum over k of value k's unit d times weights[k][q].
struct ValueOperands {
  const char* values = nullptr;     ///< unit d of value k at k * value_stride + 4 d bytes
  std::ptrdiff_t value_stride = 0;  ///< bytes
  const float* weights = nullptr;   ///< [depth, lanes]
  float* out = nullptr;             ///< [dim, lanes]
  std::ptrdiff_t lanes = 0;
  std::int32_t depth = 0;
  const float* shrink = nullptr;  ///< [lanes]
  Prefetch* prefetch = nullptr;
};

template <class Multiply, int kM, class D, int kN, int kSize, std::size_t... n>
HWY_INLINE void value_element(D d, const char* value, const Vec<D> (&weight)[kN], Vec<D> (&acc)[kSize],
                              std::index_sequence<n...>) {
  const Vec<D> x = broadcast(d, value + 4 * kM);
  ((acc[kM * kN + static_cast<int>(n)] = Multiply::add(x, weight[n], acc[kM * kN + static_cast<int>(n)])), ...);
}

template <class Multiply, int kN, class D, int kSize, std::size_t... m>
HWY_INLINE void add_value(D d, const ValueOperands& o, std::int32_t k, Vec<D> (&acc)[kSize],
                          std::index_sequence<m...>) {
  Vec<D> weight[kN];
  load_row(d, o.weights + k * o.lanes, weight, kIndices<kN>);
  (value_element<Multiply, static_cast<int>(m)>(d, o.values + k * o.value_stride, weight, acc, kIndices<kN>), ...);
}

template <int kN, class D, int kSize, std::size_t... i>
HWY_INLINE void load_shrunk(D d, const ValueOperands& o, Vec<D> (&acc)[kSize], std::index_sequence<i...>) {
  const auto width = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  ((acc[i] = hn::Mul(hn::LoadU(d, o.out + static_cast<std::ptrdiff_t>(i / kN) * o.lanes + (i % kN) * width),
                     hn::LoadU(d, o.shrink + (i % kN) * width))),
   ...);
}

/// kM elements by kN vectors of queries.
template <class Multiply, int kM, int kN, class D>
HWY_NOINLINE void value_block(D d, const ValueOperands& o) {
  Vec<D> acc[kM * kN];
  load_shrunk<kN>(d, o, acc, kIndices<kM * kN>);
  std::int32_t k = 0;
  for (; k + kTurn <= o.depth; k += kTurn) {
    o.prefetch->turn();
    for (std::int32_t i = 0; i < kTurn; ++i) add_value<Multiply, kN>(d, o, k + i, acc, kIndices<kM>);
  }
  for (; k < o.depth; ++k) add_value<Multiply, kN>(d, o, k, acc, kIndices<kM>);
  store_block<kN>(d, acc, o.out, o.lanes, kIndices<kM * kN>);
}

HWY_INLINE void next_elements(ValueOperands& o, std::int32_t n) {
  o.values += std::ptrdiff_t{4} * n;
  o.out += n * o.lanes;
}

template <class Multiply, int kM, int kN, class D>
HWY_INLINE void value_column(D d, ValueOperands o, std::int32_t dim) {
  o.prefetch->spread((dim + kM - 1) / kM * (o.depth / kTurn));
  for (; dim >= kM; dim -= kM, next_elements(o, kM)) value_block<Multiply, kM, kN>(d, o);
  for (; dim >= 4; dim -= 4, next_elements(o, 4)) value_block<Multiply, 4, kN>(d, o);
  for (; dim > 0; --dim, next_elements(o, 1)) value_block<Multiply, 1, kN>(d, o);
}

HWY_INLINE void next_queries(ValueOperands& o, std::int32_t n) {
  o.weights += n;
  o.out += n;
  o.shrink += n;
}

template <class Multiply>
HWY_INLINE void add_values(ValueOperands o, std::int32_t dim) {
  const Full d;
  const std::int32_t width = full_lanes();
  auto n = static_cast<std::int32_t>(o.lanes);
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
  for (; n >= 4 * width; n -= 4 * width, next_queries(o, 4 * width)) value_column<Multiply, 6, 4>(d, o, dim);
  for (; n >= 3 * width; n -= 3 * width, next_queries(o, 3 * width)) value_column<Multiply, 8, 3>(d, o, dim);
  for (; n >= 2 * width; n -= 2 * width, next_queries(o, 2 * width)) value_column<Multiply, 12, 2>(d, o, dim);
#else
  for (; n >= 2 * width; n -= 2 * width, next_queries(o, 2 * width)) value_column<Multiply, 6, 2>(d, o, dim);
#endif
  for (; n >= width; n -= width, next_queries(o, width)) value_column<Multiply, 12, 1>(d, o, dim);
  if (n > 0) value_column<Multiply, 12, 1>(Half(), o, dim);
}

// Few queries.

/// Vectors of elements that a block takes: as many as the registers hold for this many queries.
constexpr int few_width(int n_queries) {
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
  return n_queries <= 3 ? 8 : n_queries <= 7 ? 4 : 2;
#else
  return n_queries <= 2 ? 6 : n_queries == 3 ? 4 : 3;
#endif
}

/// Queries of one block; the others take another turn over the values.
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
inline constexpr std::int32_t kFewAtOnce = 8;
#else
inline constexpr std::int32_t kFewAtOnce = 4;
#endif

/// out[q][at ..] = out * shrink[q] + sum over k of weights[k][q] * value k. `out`: [queries, dim].
template <class Stored>
struct FewOperands {
  const Stored* const* values = nullptr;
  const float* weights = nullptr;  ///< [depth, kFew]
  float* out = nullptr;
  std::int32_t dim = 0;
  std::int32_t depth = 0;
  const float* shrink = nullptr;
  Prefetch* prefetch = nullptr;
};

#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
/// One vector of elements after the other: its product with every query's weight, which is read again each time.
template <class Multiply, std::size_t kN, int kSize, std::size_t... q>
HWY_INLINE void add_vector(const char* weights, Vec<Full> value, std::size_t n, Vec<Full> (&acc)[kSize],
                           std::index_sequence<q...>) {
  ((acc[q * kN + n] = Multiply::add(value, weights + 4 * q, acc[q * kN + n])), ...);
}
template <class Multiply, int kQ, std::size_t kN, int kSize, std::size_t... n>
HWY_INLINE void add_vectors(const char* weights, const Vec<Full> (&v)[kN], Vec<Full> (&acc)[kSize],
                            std::index_sequence<n...>) {
  (add_vector<Multiply, kN>(weights, v[n], n, acc, kIndices<kQ>), ...);
}
#else
/// One query after the other: its weight is held while it meets every vector.
template <class Multiply, std::size_t kN, int kSize, std::size_t... n>
HWY_INLINE void add_query(Vec<Full> weight, const Vec<Full> (&v)[kN], std::size_t q, Vec<Full> (&acc)[kSize],
                          std::index_sequence<n...>) {
  ((acc[q * kN + n] = Multiply::add(v[n], weight, acc[q * kN + n])), ...);
}
template <class Multiply, std::size_t kN, int kSize, std::size_t... q>
HWY_INLINE void add_queries(const char* weights, const Vec<Full> (&v)[kN], Vec<Full> (&acc)[kSize],
                            std::index_sequence<q...>) {
  (add_query<Multiply>(broadcast(Full(), weights + 4 * q), v, q, acc, kIndices<static_cast<int>(kN)>), ...);
}
template <class Multiply, int kQ, std::size_t kN, int kSize, std::size_t... n>
HWY_INLINE void add_vectors(const char* weights, const Vec<Full> (&v)[kN], Vec<Full> (&acc)[kSize],
                            std::index_sequence<n...>) {
  add_queries<Multiply>(weights, v, acc, kIndices<kQ>);
}
#endif

template <class Form, int kQ, class Stored, int kSize, std::size_t... n>
HWY_INLINE void add_few(const FewOperands<Stored>& o, std::int32_t k, std::int32_t at, Vec<Full> (&acc)[kSize],
                        std::index_sequence<n...> columns) {
  Vec<Full> v[sizeof...(n)];
  Form::load_values(o.values, k, at, v, columns);
  add_vectors<typename Form::Multiply, kQ>(reinterpret_cast<const char*>(o.weights + std::ptrdiff_t{k} * kFew), v, acc,
                                           columns);
}

template <int kN, class Stored, int kSize, std::size_t... i>
HWY_INLINE void load_shrunk(const FewOperands<Stored>& o, std::int32_t at, Vec<Full> (&acc)[kSize],
                            std::index_sequence<i...>) {
  const Full d;
  ((acc[i] = hn::Mul(hn::LoadU(d, o.out + static_cast<std::ptrdiff_t>(i / kN) * o.dim + at +
                                      static_cast<std::int32_t>(i % kN) * full_lanes()),
                     hn::Set(d, o.shrink[i / kN]))),
   ...);
}

template <class Form, int kQ, int kN, class Stored>
HWY_NOINLINE void few_value_block(const FewOperands<Stored>& o, std::int32_t at) {
  Vec<Full> acc[kQ * kN];
  load_shrunk<kN>(o, at, acc, kIndices<kQ * kN>);
  for (std::int32_t k = 0; k < o.depth; ++k) {
    if (k % kTurn == 0) o.prefetch->turn();
    add_few<Form, kQ>(o, k, at, acc, kIndices<kN>);
  }
  store_block<kN>(Full(), acc, o.out + at, o.dim, kIndices<kQ * kN>);
}

template <class Form, int kQ, class Stored>
HWY_NOINLINE void add_few_values(const FewOperands<Stored>& o) {
  constexpr int kN = few_width(kQ);
  o.prefetch->spread((o.dim / full_lanes() + kN - 1) / kN * (o.depth / kTurn));
  std::int32_t at = 0;
  for (; at + kN * full_lanes() <= o.dim; at += kN * full_lanes()) few_value_block<Form, kQ, kN>(o, at);
  for (; at < o.dim; at += full_lanes()) few_value_block<Form, kQ, 1>(o, at);
}

template <class Form, class Stored>
HWY_INLINE void add_few_at_once(std::int32_t n_queries, const FewOperands<Stored>& o) {
  switch (n_queries) {
    case 1: return add_few_values<Form, 1>(o);
    case 2: return add_few_values<Form, 2>(o);
    case 3: return add_few_values<Form, 3>(o);
    case 4: return add_few_values<Form, 4>(o);
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
    case 5: return add_few_values<Form, 5>(o);
    case 6: return add_few_values<Form, 6>(o);
    case 7: return add_few_values<Form, 7>(o);
    default: return add_few_values<Form, 8>(o);
#endif
  }
}

/// REQUIRES: dim is a multiple of the vectors' length.
template <class Form, class Stored>
HWY_INLINE void add_few_values(std::int32_t n_queries, FewOperands<Stored> o) {
  for (; n_queries > 0; n_queries -= kFewAtOnce) {
    add_few_at_once<Form>(std::min(n_queries, kFewAtOnce), o);
    o.weights += kFewAtOnce;
    o.shrink += kFewAtOnce;
    o.out += kFewAtOnce * o.dim;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
