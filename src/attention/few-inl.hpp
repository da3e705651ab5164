// Weights times values for a handful of queries: one row's query heads that share a KV head.
//
// With that few queries the lanes are better spent on the elements of a value, which need not be rearranged then. Each
// element is summed over the keys in the same order, by the same instructions, as in the block products: same bits.

#if defined(ANABRANCH_ATTENTION_FEW_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_FEW_INL
#undef ANABRANCH_ATTENTION_FEW_INL
#else
#define ANABRANCH_ATTENTION_FEW_INL
#endif

#include "forms-inl.hpp"
#include "lanes-inl.hpp"
#include "product-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// Most queries that are "few".
inline constexpr std::int32_t kFew = 8;

/// Vectors of elements that a block takes: as many as the registers hold for this many queries.
constexpr int few_width(int n_queries) {
#if ANABRANCH_AVX512 || HWY_TARGET == HWY_NEON
  return n_queries <= 3 ? 8 : n_queries <= 6 ? 4 : n_queries == 7 ? 3 : 2;
#else
  return n_queries <= 2 ? 4 : n_queries <= 5 ? 2 : 1;
#endif
}

/// out[q][at ..] = out * shrink[q] + sum over k of weights[k][q] * value k. `out`: [queries, dim].
template <class Stored>
struct FewOperands {
  const Stored* const* values = nullptr;
  const float* weights = nullptr;  ///< [depth, lanes]
  std::ptrdiff_t lanes = 0;
  std::int32_t depth = 0;
  const float* shrink = nullptr;
  float* out = nullptr;
  std::int32_t dim = 0;
};

template <class Form, int kQ, int kN, int kSize, std::size_t... n>
HWY_INLINE void few_row(const char* weights, const Vec<Full> (&v)[kN], Vec<Full> (&acc)[kSize],
                        std::index_sequence<n...>) {
  const Vec<Full> w = Form::Multiply::broadcast(Full(), weights + 4 * kQ);
  ((acc[kQ * kN + static_cast<int>(n)] = Form::Multiply::add(v[n], w, acc[kQ * kN + static_cast<int>(n)])), ...);
}

template <int kN, int kSize, class Stored, std::size_t... i>
HWY_INLINE void few_start(const FewOperands<Stored>& o, std::int32_t at, Vec<Full> (&acc)[kSize],
                          std::index_sequence<i...>) {
  const Full d;
  ((acc[i] = hn::Mul(hn::LoadU(d, o.out + static_cast<std::ptrdiff_t>(i / kN) * o.dim + at +
                                      static_cast<std::int32_t>(i % kN) * full_lanes()),
                     hn::Set(d, o.shrink[i / kN]))),
   ...);
}

template <int kN, int kSize, class Stored, std::size_t... i>
HWY_INLINE void few_end(const FewOperands<Stored>& o, std::int32_t at, const Vec<Full> (&acc)[kSize],
                        std::index_sequence<i...>) {
  (hn::StoreU(
       acc[i], Full(),
       o.out + static_cast<std::ptrdiff_t>(i / kN) * o.dim + at + static_cast<std::int32_t>(i % kN) * full_lanes()),
   ...);
}

template <class Form, int kN, int kSize, class Stored, std::size_t... q>
HWY_INLINE void few_sum(const FewOperands<Stored>& o, std::int32_t at, Vec<Full> (&acc)[kSize],
                        std::index_sequence<q...>) {
  const auto columns = std::make_index_sequence<static_cast<std::size_t>(kN)>();
  const auto* weights = reinterpret_cast<const char*>(o.weights);
  for (std::int32_t k = 0; k < o.depth; ++k, weights += 4 * o.lanes) {
    Vec<Full> v[kN];
    Form::load_values(o.values, k, at, v, columns);
    (few_row<Form, static_cast<int>(q), kN>(weights, v, acc, columns), ...);
  }
}

template <class Form, int kQ, int kN, class Stored>
HWY_NOINLINE void few_block(const FewOperands<Stored>& o, std::int32_t at) {
  const auto all = std::make_index_sequence<static_cast<std::size_t>(kQ * kN)>();
  Vec<Full> acc[kQ * kN];
  few_start<kN>(o, at, acc, all);
  few_sum<Form, kN>(o, at, acc, std::make_index_sequence<static_cast<std::size_t>(kQ)>());
  few_end<kN>(o, at, acc, all);
}

/// REQUIRES: dim is a multiple of the vectors' length.
template <class Form, int kQ, class Stored>
void few_values(const FewOperands<Stored>& o, Ahead& ahead) {
  constexpr int kN = few_width(kQ);
  std::int32_t at = 0;
  for (; at + kN * full_lanes() <= o.dim; at += kN * full_lanes()) {
    ahead.fetch(kN * full_lanes(), o.dim);
    few_block<Form, kQ, kN>(o, at);
  }
  for (; at + 2 * full_lanes() <= o.dim; at += 2 * full_lanes()) few_block<Form, kQ, 2>(o, at);
  if (at < o.dim) few_block<Form, kQ, 1>(o, at);
}

template <class Form, class Stored>
void few_values(std::int32_t n_queries, const FewOperands<Stored>& o, Ahead& ahead) {
  switch (n_queries) {
    case 1: return few_values<Form, 1>(o, ahead);
    case 2: return few_values<Form, 2>(o, ahead);
    case 3: return few_values<Form, 3>(o, ahead);
    case 4: return few_values<Form, 4>(o, ahead);
    case 5: return few_values<Form, 5>(o, ahead);
    case 6: return few_values<Form, 6>(o, ahead);
    case 7: return few_values<Form, 7>(o, ahead);
    default: return few_values<Form, 8>(o, ahead);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
