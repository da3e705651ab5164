// The K/V tensors of all layers of a runner, in memory of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/linear/weight_memory.hpp>
#include <anabranch/torch/load_options.hpp>
#include <anabranch/types.hpp>

namespace anabranch::torch {

/// The type of K and V that goes with weights, if the options do not say.
inline attention::Element kv_for(const LoadOptions& options, Weights weights) noexcept {
  if (options.kv.has_value()) return *options.kv;
  return weights == Weights::float32 ? attention::Element::float32 : attention::Element::bfloat16;
}

class KvStore {
 public:
  KvStore(const attention::HeadShape& shape, attention::Element element, std::int32_t n_layers)
      : shape_(shape), element_(element), n_layers_(n_layers) {}

  /// Makes room for `n_slots` slots and keeps their content. Never shrinks. When memory runs out, nothing has changed.
  void reserve(std::int32_t n_slots);

  /// Bytes of K and V of one slot, of all layers, the scales of int8 included.
  std::int64_t bytes_per_slot() const noexcept;
  /// Copies K and V of slots [first, first + count) to `bytes`; slot by slot, and in it layer by layer: keys, their
  /// scales, values, their scales, each head by head. Throws bad_argument for slots that are not there, or another
  /// size.
  void read(Slot first, std::int32_t count, std::span<std::byte> bytes) const;
  /// The other way round.
  void write(Slot first, std::int32_t count, std::span<const std::byte> bytes);

  std::int32_t n_slots() const noexcept { return n_slots_; }
  attention::Element element() const noexcept { return element_; }
  /// Head-major: [kv_heads, n_slots, head_dim].
  const attention::KvTensors& layer(std::size_t index) const noexcept { return kv_[index]; }

 private:
  attention::KvTensors make_layer(linear::WeightMemory& memory, std::int32_t n_slots) const;
  void copy_layer(const attention::KvTensors& from, const attention::KvTensors& to) const;
  void check_range(Slot first, std::int32_t count, std::size_t n_bytes) const;
  template <class Copy>
  void for_each_piece(Slot slot, Copy&& copy) const;

  attention::HeadShape shape_;
  attention::Element element_;
  std::int32_t n_layers_;
  std::int32_t n_slots_ = 0;
  std::unique_ptr<linear::WeightMemory> memory_;
  std::vector<attention::KvTensors> kv_;
};

}  // namespace anabranch::torch
