// Writes K and V of a pass into the slabs.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "store_rows.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include <cmath>
#include <limits>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "convert-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// One head's row of K or of V.
template <class Element>
HWY_INLINE void store_head(const float* from, std::int32_t dim, void* slab, std::int64_t place, float*) {
  using Stored = typename Element::Stored;
  convert_row<Float32, Element>(from, dim, 1.0f, static_cast<Stored*>(slab) + place);
}

template <>
HWY_INLINE void store_head<Float32>(const float* from, std::int32_t dim, void* slab, std::int64_t place, float*) {
  std::memcpy(static_cast<float*>(slab) + place, from, static_cast<std::size_t>(dim) * sizeof(float));
}

template <>
HWY_INLINE void store_head<Int8>(const float* from, std::int32_t dim, void* slab, std::int64_t place, float* scale) {
  auto* to = static_cast<std::int8_t*>(slab) + place;
  float largest = 0;
  bool finite = true;
  for (std::int32_t i = 0; i < dim; ++i) {
    finite = finite && from[i] - from[i] == 0.0f;
    largest = std::max(largest, std::abs(from[i]));
  }
  *scale = finite ? largest / 127.0f : std::numeric_limits<float>::quiet_NaN();
  const float factor = 127.0f / largest;
  if (finite && largest > 0 && factor < std::numeric_limits<float>::infinity())
    convert_row<Float32, Int8>(from, dim, factor, to);
  else
    std::memset(to, finite ? 0 : 1, static_cast<std::size_t>(dim));  // 1: times a scale of NaN
}

template <class Element>
void store(const float* keys, const float* values, std::int64_t row_stride, std::span<const Slot> slots,
           const HeadShape& shape, const KvSlabs& slabs) {
  for (std::size_t r = 0; r < slots.size(); ++r)
    for (std::int32_t h = 0; h < shape.kv_heads; ++h) {
      const std::int64_t from = static_cast<std::int64_t>(r) * row_stride + std::int64_t{h} * shape.head_dim;
      const std::int64_t place = slots[r] * slabs.slot_stride + h * slabs.head_stride;
      const std::int64_t scale = slots[r] * slabs.scale_slot_stride + h * slabs.scale_head_stride;
      const bool scaled = sizeof(typename Element::Stored) == 1;
      store_head<Element>(keys + from, shape.head_dim, slabs.keys, place, scaled ? slabs.key_scales + scale : nullptr);
      store_head<Element>(values + from, shape.head_dim, slabs.values, place,
                          scaled ? slabs.value_scales + scale : nullptr);
    }
}

void store_any(const float* keys, const float* values, std::int64_t row_stride, std::span<const Slot> slots,
               const HeadShape& shape, const KvSlabs& slabs) {
  switch (slabs.element) {
    case Element::float32: return store<Float32>(keys, values, row_stride, slots, shape, slabs);
    case Element::bfloat16: return store<Bfloat16>(keys, values, row_stride, slots, shape, slabs);
    case Element::float16: return store<Float16>(keys, values, row_stride, slots, shape, slabs);
    case Element::int8: return store<Int8>(keys, values, row_stride, slots, shape, slabs);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(store_any);

void store_rows(const float* keys, const float* values, std::int64_t row_stride, std::span<const Slot> slots,
                const HeadShape& shape, const KvSlabs& slabs) {
  simd::prepare();
  HWY_DYNAMIC_DISPATCH(store_any)(keys, values, row_stride, slots, shape, slabs);
}

}  // namespace anabranch::attention
#endif
