// Where K and V of one layer lie, in which type, and how rows are written there.
//
// They are addressed by slot and never reordered: forks and joins do not touch them. Both common layouts are strides:
// slot-major [n_slots, kv_heads, head_dim] and head-major [kv_heads, n_slots, head_dim], in which the keys of one head
// stand together and stream fastest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <anabranch/parallel_for.hpp>
#include <anabranch/types.hpp>

namespace anabranch::attention {

/// Type of one element of K and V.
enum class Element : std::uint8_t {
  float32,
  bfloat16,
  float16,
  int8,  ///< times a float32 scale per slot and KV head: largest magnitude / 127
};

/// Bytes of one element.
constexpr std::size_t element_size(Element element) noexcept {
  return element == Element::float32 ? 4 : element == Element::int8 ? 1 : 2;
}

/// Sizes of the attention heads.
struct HeadShape {
  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;  ///< divides query_heads
  std::int32_t head_dim = 0;
  constexpr std::int32_t share() const noexcept { return query_heads / kv_heads; }  ///< query heads per KV head
  constexpr std::int32_t q_width() const noexcept { return query_heads * head_dim; }
  constexpr std::int32_t kv_width() const noexcept { return kv_heads * head_dim; }
  friend constexpr bool operator==(const HeadShape&, const HeadShape&) = default;
};

/// K and V of one layer. All memory is the caller's. Element d of head h of slot s is at
/// s * slot_stride + h * head_stride + d; the scales of int8 at s * scale_slot_stride + h * scale_head_stride.
struct KvTensors {
  void* keys = nullptr;
  void* values = nullptr;
  Element element = Element::float32;
  std::int32_t n_slots = 0;
  std::int64_t slot_stride = 0;  ///< in elements
  std::int64_t head_stride = 0;
  float* key_scales = nullptr;  ///< int8 only
  float* value_scales = nullptr;
  std::int64_t scale_slot_stride = 0;
  std::int64_t scale_head_stride = 0;
};

enum class KvLayout : std::uint8_t { slot_major, head_major };

/// K/V tensors over contiguous memory of n_slots * kv_heads * head_dim elements each (scales: n_slots * kv_heads).
constexpr KvTensors make_kv_tensors(const HeadShape& shape, Element element, KvLayout layout, std::int32_t n_slots,
                                    void* keys, void* values, float* key_scales = nullptr,
                                    float* value_scales = nullptr) {
  const bool by_slot = layout == KvLayout::slot_major;
  KvTensors kv;
  kv.keys = keys;
  kv.values = values;
  kv.element = element;
  kv.n_slots = n_slots;
  kv.slot_stride = by_slot ? shape.kv_width() : shape.head_dim;
  kv.head_stride = by_slot ? shape.head_dim : std::int64_t{n_slots} * shape.head_dim;
  kv.key_scales = key_scales;
  kv.value_scales = value_scales;
  kv.scale_slot_stride = by_slot ? shape.kv_heads : 1;
  kv.scale_head_stride = by_slot ? 1 : n_slots;
  return kv;
}

/// Rounds K and V of one pass's rows to the element type of `kv` (to nearest even) and writes them to the rows' slots.
/// keys, values: float32 [n_rows, kv_heads, head_dim], rows `row_stride` floats apart. REQUIRES: the slots lie in the
/// kv. Infinity and NaN stay what they are, but in int8, where a head that has one becomes NaN as a whole.
void store_rows(const float* keys, const float* values, std::int64_t row_stride, std::span<const Slot> slots,
                const HeadShape& shape, const KvTensors& kv);

enum class KvSide : std::uint8_t { keys, values };

/// The same for one KV head, of K or of V alone. rows: [n_rows, head_dim].
void store_head(const float* rows, std::int64_t row_stride, std::span<const Slot> slots, const HeadShape& shape,
                KvSide side, std::int32_t head, const KvTensors& kv);

}  // namespace anabranch::attention
