#include "kv_store.hpp"

#include <cstring>
#include <utility>

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

}  // namespace anabranch::torch
