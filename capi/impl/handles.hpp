// Handles: what crosses the border instead of addresses.
//
// A handle packs {serial, kind, index into one process-wide table}. It is looked up, never followed, so that one which
// is stale, of another kind, or no handle at all is told apart without touching memory that may be gone. The table is
// static: making a handle allocates nothing and looking one up takes no lock.
#pragma once

#include <atomic>
#include <cstdint>

namespace anabranch::capi {

enum class HandleKind : std::uint64_t { cache = 1, step = 2, decoder = 3, attention = 4, scheduler = 5 };

/// At most this many at a time.
inline constexpr std::uint32_t kMaxHandles = 65535;

/// The parts of a handle. A step has the index of its cache, and a serial that only the cache knows.
struct HandleParts {
  std::uint32_t index = 0;
  HandleKind kind = HandleKind::cache;
  std::uint64_t serial = 0;
};

inline constexpr int kIndexBits = 16, kKindBits = 4;

inline void* pack(HandleParts parts) noexcept {
  const std::uint64_t value =
      parts.serial << (kIndexBits + kKindBits) | static_cast<std::uint64_t>(parts.kind) << kIndexBits | parts.index;
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(value));
}

inline HandleParts unpack(const void* handle) noexcept {
  const auto value = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle));
  return {static_cast<std::uint32_t>(value & ((1u << kIndexBits) - 1)),
          static_cast<HandleKind>(value >> kIndexBits & ((1u << kKindBits) - 1)), value >> (kIndexBits + kKindBits)};
}

static_assert(sizeof(void*) == 8, "handles need 64 bits");

/// Enters an object. Null when the table is full.
void* make_handle(HandleKind kind, void* object) noexcept;
/// The object, or null when the handle is not one of this kind that is alive. O(1).
void* find_object(HandleKind kind, const void* handle) noexcept;
/// Of a cache's serial a step's handle has room for these low bits only.
inline constexpr std::uint64_t kStepSerialMask = 0xfffff;
/// The same for the cache at an index whose serial ends in `low_serial`: what a step's handle names. The object of any
/// other is not touched: it may be another thread's by now.
void* find_cache(std::uint32_t index, std::uint64_t low_serial) noexcept;
/// Takes the handle out of the table and returns its object, null as above.
void* remove_handle(HandleKind kind, const void* handle) noexcept;

}  // namespace anabranch::capi
