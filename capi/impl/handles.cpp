#include "handles.hpp"

#include <mutex>

namespace anabranch::capi {
namespace {

/// `tag` is serial and kind together; 0: free. The writer sets `object` before `tag`.
struct Entry {
  std::atomic<std::uint64_t> tag;
  std::atomic<void*> object;
  std::uint32_t next_free;
  std::uint64_t last_serial;
};

// Index 0 is not used, so that no handle is small. Static and zero: pages that are never used cost nothing.
Entry g_entries[kMaxHandles + 1];
std::mutex g_mutex;  // guards what follows, and writing
std::uint32_t g_first_free = 0;
std::uint32_t g_n_used = 0;  // entries that were ever used

constexpr std::uint64_t tag_of(HandleKind kind, std::uint64_t serial) noexcept {
  return serial << kKindBits | static_cast<std::uint64_t>(kind);
}

Entry* find(HandleKind kind, const void* handle) noexcept {
  const HandleParts parts = unpack(handle);
  if (parts.index == 0 || parts.index > kMaxHandles || parts.kind != kind || parts.serial == 0) return nullptr;
  Entry& entry = g_entries[parts.index];
  return entry.tag.load(std::memory_order_acquire) == tag_of(kind, parts.serial) ? &entry : nullptr;
}

}  // namespace

void* make_handle(HandleKind kind, void* object) noexcept {
  const std::lock_guard lock(g_mutex);
  std::uint32_t index = g_first_free;
  if (index != 0) {
    g_first_free = g_entries[index].next_free;
  } else if (g_n_used < kMaxHandles) {
    index = ++g_n_used;
  } else {
    return nullptr;
  }
  Entry& entry = g_entries[index];
  const std::uint64_t serial = ++entry.last_serial;
  entry.object.store(object, std::memory_order_relaxed);
  entry.tag.store(tag_of(kind, serial), std::memory_order_release);
  return pack({index, kind, serial});
}

void* find_object(HandleKind kind, const void* handle) noexcept {
  Entry* entry = find(kind, handle);
  return entry != nullptr ? entry->object.load(std::memory_order_relaxed) : nullptr;
}

void* find_cache(std::uint32_t index, std::uint64_t low_serial) noexcept {
  if (index == 0 || index > kMaxHandles) return nullptr;
  const Entry& entry = g_entries[index];
  const std::uint64_t tag = entry.tag.load(std::memory_order_acquire);
  const bool is_cache = (tag & ((1u << kKindBits) - 1)) == static_cast<std::uint64_t>(HandleKind::cache);
  const bool is_named = (tag >> kKindBits & kStepSerialMask) == low_serial;
  return is_cache && is_named ? entry.object.load(std::memory_order_relaxed) : nullptr;
}

void* remove_handle(HandleKind kind, const void* handle) noexcept {
  const std::lock_guard lock(g_mutex);
  Entry* entry = find(kind, handle);
  if (entry == nullptr) return nullptr;
  void* object = entry->object.load(std::memory_order_relaxed);
  entry->tag.store(0, std::memory_order_release);
  entry->next_free = g_first_free;
  g_first_free = static_cast<std::uint32_t>(entry - g_entries);
  return object;
}

}  // namespace anabranch::capi
