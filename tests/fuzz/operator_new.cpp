#include "operator_new.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace fuzz {

bool (*g_refuse_new)(std::size_t size) = nullptr;

namespace {

std::size_t g_allocated = 0, g_now = 0, g_most = 0;

void* allocate_or_null(std::size_t size, std::size_t alignment = 1) noexcept {
  if (g_refuse_new != nullptr && g_refuse_new(size)) return nullptr;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(std::max<std::size_t>(size, 1))
                                                        : aligned_memory(size, alignment);
  if (memory == nullptr) return nullptr;
  g_allocated += size;
  g_now += malloc_usable_size(memory);
  g_most = std::max(g_most, g_now);
  return memory;
}

void* allocate_new(std::size_t size, std::size_t alignment = 1) {
  void* memory = allocate_or_null(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void free_new(void* memory) noexcept {
  if (memory == nullptr) return;
  g_now -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

MemoryUse::MemoryUse() : allocated_before_(g_allocated), now_before_(g_now) { g_most = g_now; }
std::size_t MemoryUse::allocated() const noexcept { return g_allocated - allocated_before_; }
std::size_t MemoryUse::most() const noexcept { return g_most - now_before_; }

void* aligned_memory(std::size_t size, std::size_t alignment) noexcept {
  void* memory = nullptr;
  return posix_memalign(&memory, std::max(alignment, alignof(std::max_align_t)), size) == 0 ? memory : nullptr;
}

}  // namespace fuzz

using fuzz::allocate_new;
using fuzz::allocate_or_null;
using fuzz::free_new;

void* operator new(std::size_t size) { return allocate_new(size); }
void* operator new[](std::size_t size) { return allocate_new(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_new(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_new(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { free_new(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { free_new(memory); }
void operator delete(void* memory) noexcept { free_new(memory); }
void operator delete[](void* memory) noexcept { free_new(memory); }
void operator delete(void* memory, std::size_t) noexcept { free_new(memory); }
void operator delete[](void* memory, std::size_t) noexcept { free_new(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free_new(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free_new(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free_new(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { free_new(memory); }
