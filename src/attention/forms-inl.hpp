// In which form K, V and queries enter the block products: as float32, or as pairs of bfloat16.
//
// A form says how queries are arranged in lanes, where a tile's keys and values lie for the product (in the K/V
// tensors when nothing has to be changed), and how weights are written.

#if defined(ANABRANCH_ATTENTION_FORMS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_FORMS_INL
#undef ANABRANCH_ATTENTION_FORMS_INL
#else
#define ANABRANCH_ATTENTION_FORMS_INL
#endif

#include "convert-inl.hpp"
#include "kernels.hpp"
#include "lanes-inl.hpp"
#include "multiply-inl.hpp"
#include "softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// One head of K or of V: element d of slot s is at base[s * stride + d].
template <class Stored>
struct HeadTensor {
  const Stored* base = nullptr;
  std::ptrdiff_t stride = 0;
  const Stored* row(Slot slot) const { return base + slot * stride; }
};

/// Rows of K and V of one tile's keys.
template <class Stored>
struct Tile {
  std::int32_t begin = 0;  ///< offset in the segment of the first key
  std::int32_t n = 0;
  bool adjacent = false;  ///< rows stand one after the other in the kv
  Slot slots[kTile];
  const Stored* keys[kTile + 1];    ///< one more, never read
  const Stored* values[kTile + 1];  ///< one more, for a partner of zeros
};

/// The A of a product.
struct Matrix {
  const char* at = nullptr;
  std::ptrdiff_t stride = 0;  ///< bytes
};

/// Everything as float32; any element.
template <class Element>
struct FloatForm {
  using Stored = typename Element::Stored;
  using Multiply = MultiplyFloats;
  using Write = WriteFloats;
  static constexpr bool kSplits = HWY_TARGET == HWY_AVX2 && std::is_same_v<Element, Bfloat16>;  ///< see split-inl.hpp
  static constexpr bool kDirect = sizeof(Stored) == sizeof(float);  ///< the K/V tensors have what the product wants

  static std::int32_t depth_of_scores(std::int32_t dim) { return dim; }
  static std::int32_t depth_of_values(std::int32_t n_keys) { return n_keys; }

  static HWY_INLINE void arrange_row(const float* query, std::int32_t dim, float scale, float* to) {
    const Full d;
    std::int32_t i = 0;
    for (; i + full_lanes() <= dim; i += full_lanes())
      hn::StoreU(hn::Mul(hn::LoadU(d, query + i), hn::Set(d, scale)), d, to + i);
    for (; i < dim; ++i) to[i] = query[i] * scale;
  }

  /// `stride`: elements from row to row in the K/V tensors.
  static HWY_INLINE Matrix matrix(const Stored* const* rows, std::int32_t n, bool adjacent, std::ptrdiff_t stride,
                                  std::int32_t dim, float* scratch) {
    constexpr auto kSize = static_cast<std::ptrdiff_t>(sizeof(float));
    if (kDirect && adjacent) return {reinterpret_cast<const char*>(rows[0]), stride * kSize};
    for (std::int32_t i = 0; i < n; ++i) read_row<Element>(rows[i], dim, scratch + std::ptrdiff_t{i} * dim);
    return {reinterpret_cast<const char*>(scratch), dim * kSize};
  }
  static HWY_INLINE Matrix keys(const Tile<Stored>& tile, std::ptrdiff_t stride, std::int32_t dim, float* scratch) {
    return matrix(tile.keys, tile.n, tile.adjacent, stride, dim, scratch);
  }
  static HWY_INLINE Matrix values(const Tile<Stored>& tile, std::ptrdiff_t stride, std::int32_t dim, float* scratch) {
    return matrix(tile.values, tile.n, tile.adjacent, stride, dim, scratch);
  }

  /// Elements from `at` on of value row k, kN vectors.
  template <std::size_t kN, std::size_t... n>
  static HWY_INLINE void load_values(const Stored* const* rows, std::int32_t k, std::int32_t at, Vec<Full> (&v)[kN],
                                     std::index_sequence<n...>) {
    ((v[n] = Element::read(Full(), rows[k] + at + static_cast<std::int32_t>(n) * full_lanes())), ...);
  }
};

/// Rows of two-byte elements as a matrix: where they are, or gathered.
HWY_INLINE Matrix raw_matrix(const std::uint16_t* const* rows, std::int32_t n, bool adjacent, std::ptrdiff_t stride,
                             std::int32_t dim, float* scratch) {
  constexpr auto kSize = static_cast<std::ptrdiff_t>(sizeof(std::uint16_t));
  if (adjacent) return {reinterpret_cast<const char*>(rows[0]), stride * kSize};
  auto* to = reinterpret_cast<char*>(scratch);
  for (std::int32_t i = 0; i < n; ++i, to += dim * kSize)
    std::memcpy(to, rows[i], static_cast<std::size_t>(dim * kSize));
  return {reinterpret_cast<const char*>(scratch), dim * kSize};
}

#if ANABRANCH_AVX512
HWY_INLINE const std::uint16_t* as_bfloat16(Bfloat16, const std::uint16_t* row, std::int32_t, std::uint16_t*) {
  return row;
}
/// An int8 is a bfloat16 exactly.
HWY_INLINE const std::uint16_t* as_bfloat16(Int8, const std::int8_t* row, std::int32_t dim, std::uint16_t* scratch) {
  convert_row<Int8, Bfloat16>(row, dim, 1.0f, scratch);
  return scratch;
}

/// to[i] = even[i] | odd[i] << 16. `n` is even.
HWY_INLINE void interleave(const std::uint16_t* even, const std::uint16_t* odd, std::int32_t n, std::uint32_t* to) {
  alignas(64) static constexpr std::uint16_t kLow[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kLow);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  std::int32_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512i a = _mm512_loadu_si512(even + i);
    const __m512i b = _mm512_loadu_si512(odd + i);
    _mm512_storeu_si512(to + i, _mm512_permutex2var_epi16(a, low, b));
    _mm512_storeu_si512(to + i + 16, _mm512_permutex2var_epi16(a, high, b));
  }
  for (; i < n; ++i) to[i] = static_cast<std::uint32_t>(even[i]) | static_cast<std::uint32_t>(odd[i]) << 16;
}

/// Everything as pairs of bfloat16: bfloat16 and int8 elements, even head_dim.
template <class Element>
struct PairForm {
  using Stored = typename Element::Stored;
  using Multiply = MultiplyPairs;
  using Write = WritePairs;
  static constexpr bool kSplits = false;
  static constexpr bool kDirect = sizeof(Stored) == sizeof(std::uint16_t);

  static std::int32_t depth_of_scores(std::int32_t dim) { return dim / 2; }
  static std::int32_t depth_of_values(std::int32_t n_keys) { return (n_keys + 1) / 2; }

  static HWY_INLINE void arrange_row(const float* query, std::int32_t dim, float scale, float* to) {
    convert_row<Float32, Bfloat16>(query, dim, scale, reinterpret_cast<std::uint16_t*>(to));
  }

  static HWY_INLINE Matrix keys(const Tile<Stored>& tile, std::ptrdiff_t stride, std::int32_t dim, float* scratch) {
    if constexpr (kDirect) {
      return raw_matrix(tile.keys, tile.n, tile.adjacent, stride, dim, scratch);
    } else {
      auto* to = reinterpret_cast<std::uint16_t*>(scratch);
      for (std::int32_t i = 0; i < tile.n; ++i, to += dim) convert_row<Element, Bfloat16>(tile.keys[i], dim, 1.0f, to);
      return {reinterpret_cast<const char*>(scratch), dim * static_cast<std::ptrdiff_t>(sizeof(std::uint16_t))};
    }
  }

  /// [n / 2, dim] pairs: of two keys, the same d.
  static HWY_INLINE Matrix values(const Tile<Stored>& tile, std::ptrdiff_t, std::int32_t dim, float* scratch) {
    auto* pairs = reinterpret_cast<std::uint32_t*>(scratch);
    // Two rows of bfloat16 fit behind the pairs of a whole tile.
    auto* spare = reinterpret_cast<std::uint16_t*>(scratch + std::ptrdiff_t{kTile / 2} * dim);
    for (std::int32_t i = 0; i < tile.n; i += 2, pairs += dim) {
      const std::uint16_t* even = as_bfloat16(Element(), tile.values[i], dim, spare);
      const std::uint16_t* odd = as_bfloat16(Element(), tile.values[i + 1], dim, spare + dim);
      interleave(even, odd, dim, pairs);
    }
    return {reinterpret_cast<const char*>(scratch), dim * static_cast<std::ptrdiff_t>(sizeof(std::uint32_t))};
  }

  /// Elements from `at` on of value rows 2 k and 2 k + 1 as pairs, kN vectors.
  template <std::size_t kN, std::size_t... n>
  static HWY_INLINE void load_values(const Stored* const* rows, std::int32_t k, std::int32_t at, Vec<Full> (&v)[kN],
                                     std::index_sequence<n...>) {
    ((v[n] = pair_up(Element(), rows[2 * k] + at + static_cast<std::int32_t>(n) * full_lanes(),
                     rows[2 * k + 1] + at + static_cast<std::int32_t>(n) * full_lanes())),
     ...);
  }

 private:
  static HWY_INLINE Vec<Full> pair_up(Bfloat16, const std::uint16_t* even, const std::uint16_t* odd) {
    const Words<Full> dw;
    const hn::Rebind<std::uint16_t, Full> d16;
    const auto high = hn::ShiftLeft<16>(hn::PromoteTo(dw, hn::LoadU(d16, odd)));
    return hn::BitCast(Full(), hn::Or(hn::PromoteTo(dw, hn::LoadU(d16, even)), high));
  }
  static HWY_INLINE Vec<Full> pair_up(Int8, const std::int8_t* even, const std::int8_t* odd) {
    const Words<Full> dw;
    const auto low = hn::ShiftRight<16>(hn::BitCast(dw, Int8::read(Full(), even)));
    return hn::BitCast(Full(), hn::Or(low, hn::BitCast(dw, Int8::read(Full(), odd))));
  }
};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
