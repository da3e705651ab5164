#include "kv_store.hpp"

#include <cstring>
#include <utility>

#include <anabranch/error.hpp>

#include "sizes.hpp"

namespace anabranch::torch {

void KvStore::reserve(std::int32_t n_slots) {
  if (n_slots <= n_slots_) return;
  auto memory = std::make_unique<linear::WeightMemory>();
  std::vector<attention::KvTensors> grown;
  for (std::int32_t l = 0; l < n_layers_; ++l) grown.push_back(make_layer(*memory, n_slots));
  for (std::size_t l = 0; l < kv_.size(); ++l) copy_layer(kv_[l], grown[l]);
  memory_ = std::move(memory);
  kv_ = std::move(grown);
  n_slots_ = n_slots;
}

attention::KvTensors KvStore::make_layer(linear::WeightMemory& memory, std::int32_t n_slots) const {
  const std::size_t n_heads = n_elements(n_slots, shape_.kv_heads);
  const std::size_t bytes = n_elements(n_heads, shape_.head_dim) * element_size(element_);
  const auto take = [&memory](std::size_t n) { return memory.allocate(n, 64); };
  const bool scaled = element_ == attention::Element::int8;
  void* const keys = take(bytes);
  void* const values = take(bytes);
  auto* const key_scales = scaled ? static_cast<float*>(take(n_heads * sizeof(float))) : nullptr;
  auto* const value_scales = scaled ? static_cast<float*>(take(n_heads * sizeof(float))) : nullptr;
  return make_kv_tensors(shape_, element_, attention::KvLayout::head_major, n_slots, keys, values, key_scales,
                         value_scales);
}

void KvStore::copy_layer(const attention::KvTensors& from, const attention::KvTensors& to) const {
  const std::size_t size = element_size(element_);
  const auto copy = [&](const void* source, void* target, std::int64_t source_stride, std::int64_t target_stride,
                        std::size_t bytes) {
    for (std::int64_t h = 0; h < shape_.kv_heads; ++h)
      std::memcpy(static_cast<std::byte*>(target) + h * target_stride,
                  static_cast<const std::byte*>(source) + h * source_stride, bytes);
  };
  const auto bytes = static_cast<std::int64_t>(size);
  const std::size_t of_head = n_elements(n_slots_, shape_.head_dim) * size;
  for (const auto& [a, b] : {std::pair{from.keys, to.keys}, std::pair{from.values, to.values}})
    copy(a, b, from.head_stride * bytes, to.head_stride * bytes, of_head);
  if (from.key_scales == nullptr) return;
  constexpr std::int64_t kScale = sizeof(float);
  for (const auto& [a, b] : {std::pair{from.key_scales, to.key_scales}, std::pair{from.value_scales, to.value_scales}})
    copy(a, b, from.scale_head_stride * kScale, to.scale_head_stride * kScale, n_elements(n_slots_) * sizeof(float));
}

std::int64_t KvStore::bytes_per_slot() const noexcept {
  const std::int64_t scale = element_ == attention::Element::int8 ? std::int64_t{sizeof(float)} : 0;
  const std::int64_t head = std::int64_t{shape_.head_dim} * static_cast<std::int64_t>(element_size(element_)) + scale;
  return 2 * head * shape_.kv_heads * n_layers_;
}

void KvStore::check_range(Slot first, std::int32_t count, std::size_t n_bytes) const {
  if (first < 0 || count < 0 || count > n_slots_ - first)
    fail(Status::bad_argument, "slots ", first, " to ", std::int64_t{first} + count, "; there are ", n_slots_);
  if (n_bytes != n_elements(count, bytes_per_slot()))
    fail(Status::bad_argument, n_bytes, " bytes for K and V of ", count, " slots; they have ",
         n_elements(count, bytes_per_slot()));
}

/// Calls copy(std::byte* of the tensors, bytes) for the pieces of a slot, in the order that `read` states.
template <class Copy>
void KvStore::for_each_piece(Slot slot, Copy&& copy) const {
  const std::size_t size = element_size(element_);
  for (const attention::KvTensors& layer : kv_) {
    for (const auto& [values, scales] :
         {std::pair{layer.keys, layer.key_scales}, std::pair{layer.values, layer.value_scales}}) {
      for (std::int64_t h = 0; h < shape_.kv_heads; ++h)
        copy(static_cast<std::byte*>(values) +
                 (slot * layer.slot_stride + h * layer.head_stride) * static_cast<std::int64_t>(size),
             n_elements(shape_.head_dim) * size);
      for (std::int64_t h = 0; scales != nullptr && h < shape_.kv_heads; ++h)
        copy(reinterpret_cast<std::byte*>(scales + slot * layer.scale_slot_stride + h * layer.scale_head_stride),
             sizeof(float));
    }
  }
}

void KvStore::read(Slot first, std::int32_t count, std::span<std::byte> bytes) const {
  check_range(first, count, bytes.size());
  std::byte* to = bytes.data();
  for (Slot slot = first; slot < first + count; ++slot)
    for_each_piece(slot, [&](const std::byte* from, std::size_t n) {
      std::memcpy(to, from, n);
      to += n;
    });
}

void KvStore::write(Slot first, std::int32_t count, std::span<const std::byte> bytes) {
  check_range(first, count, bytes.size());
  const std::byte* from = bytes.data();
  for (Slot slot = first; slot < first + count; ++slot)
    for_each_piece(slot, [&](std::byte* to, std::size_t n) {
      std::memcpy(to, from, n);
      from += n;
    });
}

}  // namespace anabranch::torch
