// Writes K and V of a pass into the K/V tensors.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "store_rows.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include <cmath>
#include <limits>

#include <anabranch/error.hpp>
#include <anabranch/simd.hpp>

#include "convert-inl.hpp"
#include "kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

/// Writes one head's row of K or of V, from element `place` of the tensor on.
template <class Element>
HWY_INLINE void store_row(const float* from, std::int32_t dim, void* tensor, std::int64_t place, float*) {
  using Stored = typename Element::Stored;
  convert_row<Float32, Element>(from, dim, 1.0f, static_cast<Stored*>(tensor) + place);
}

template <>
HWY_INLINE void store_row<Float32>(const float* from, std::int32_t dim, void* tensor, std::int64_t place, float*) {
  std::copy_n(from, dim, static_cast<float*>(tensor) + place);
}

template <>
HWY_INLINE void store_row<Int8>(const float* from, std::int32_t dim, void* tensor, std::int64_t place, float* scale) {
  auto* to = static_cast<std::int8_t*>(tensor) + place;
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
    std::fill_n(to, dim, std::int8_t{!finite});  // 1: times a scale of NaN
}

template <class Element>
void store_all(const float* rows, std::int64_t row_stride, std::span<const Slot> slots, const HeadSlots& to) {
  for (std::size_t r = 0; r < slots.size(); ++r)
    store_row<Element>(rows + static_cast<std::int64_t>(r) * row_stride, to.head_dim, to.tensor,
                       to.first + slots[r] * to.slot_stride,
                       to.scales == nullptr ? nullptr : to.scales + slots[r] * to.scale_stride);
}

void store(const float* rows, std::int64_t row_stride, std::span<const Slot> slots, const HeadSlots& to) {
  switch (to.element) {
    case Element::float32: return store_all<Float32>(rows, row_stride, slots, to);
    case Element::bfloat16: return store_all<Bfloat16>(rows, row_stride, slots, to);
    case Element::float16: return store_all<Float16>(rows, row_stride, slots, to);
    case Element::int8: return store_all<Int8>(rows, row_stride, slots, to);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(store);

void store_head(const float* rows, std::int64_t row_stride, std::span<const Slot> slots, const HeadShape& shape,
                KvSide side, std::int32_t head, const KvTensors& kv) {
  simd::prepare();
  const bool keys = side == KvSide::keys;
  float* const scales = keys ? kv.key_scales : kv.value_scales;
  const bool scaled = kv.element == Element::int8;
  HWY_DYNAMIC_DISPATCH(store)
  (rows, row_stride, slots,
   {keys ? kv.keys : kv.values, kv.element, shape.head_dim, head * kv.head_stride, kv.slot_stride,
    scaled ? scales + head * kv.scale_head_stride : nullptr, kv.scale_slot_stride});
}

void store_rows(const float* keys, const float* values, std::int64_t row_stride, std::span<const Slot> slots,
                const HeadShape& shape, const KvTensors& kv) {
  for (std::int32_t head = 0; head < shape.kv_heads; ++head) {
    const std::ptrdiff_t from = std::ptrdiff_t{head} * shape.head_dim;
    store_head(keys + from, row_stride, slots, shape, KvSide::keys, head, kv);
    store_head(values + from, row_stride, slots, shape, KvSide::values, head, kv);
  }
}

}  // namespace anabranch::attention
#endif
