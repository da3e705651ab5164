// The kernels' words for vectors. Included once per instruction set (Highway's foreach_target).

#if defined(ANABRANCH_ATTENTION_LANES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANABRANCH_ATTENTION_LANES_INL
#undef ANABRANCH_ATTENTION_LANES_INL
#else
#define ANABRANCH_ATTENTION_LANES_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

/// AVX-512: the only x86 targets where the compiler knows its instructions.
#undef ANABRANCH_AVX512
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
#define ANABRANCH_AVX512 1
#else
#define ANABRANCH_AVX512 0
#endif

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<float>;
/// Half of AVX-512's width, for 8 queries or fewer: on CPUs that split 512 bits in two it costs half.
using Half = hn::CappedTag<float, 8>;
template <class D>
using Vec = hn::Vec<D>;
template <class D>
using Ints = hn::RebindToSigned<D>;
template <class D>
using Words = hn::RebindToUnsigned<D>;

HWY_INLINE std::int32_t full_lanes() { return static_cast<std::int32_t>(hn::Lanes(Full())); }
HWY_INLINE std::int32_t half_lanes() { return static_cast<std::int32_t>(hn::Lanes(Half())); }

/// Most queries that are "few": see scores-inl.hpp and values-inl.hpp.
inline constexpr std::int32_t kFew = 8;

/// Lanes that n queries take: whole vectors, the last of them perhaps a half one.
HWY_INLINE std::int32_t padded(std::int32_t n) { return (n + half_lanes() - 1) / half_lanes() * half_lanes(); }

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#endif
