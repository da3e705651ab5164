// KvBytes: how a host hands out the bytes of K and V, and takes them back: for files of a prefix cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include <anabranch/types.hpp>

namespace anabranch {

/// How K and V of slots become bytes. Bytes of a slot: K and V of all layers, in an order that is the host's own.
struct KvBytes {
  /// Names all that K and V depend on: model, adapter, type and layout of K and V. Files with another name are refused.
  std::string model;
  std::int64_t bytes_per_slot = 0;
  /// Copies K and V of slots [first, first + count) to `bytes`, of count * bytes_per_slot.
  std::function<void(Slot first, std::int32_t count, std::span<std::byte> bytes)> read;
  /// The other way round.
  std::function<void(Slot first, std::int32_t count, std::span<const std::byte> bytes)> write;
};

}  // namespace anabranch
