// operator new of the whole program, which counts.
#include <cstdlib>
#include <new>

#include "file_kinds.hpp"

namespace {

std::size_t g_now = 0, g_most = 0;

/// In front of every block, so that the alignment of what follows stays.
struct alignas(std::max_align_t) Front {
  std::size_t size;
};

void* allocate(std::size_t size) noexcept {
  if (size > SIZE_MAX - sizeof(Front)) return nullptr;
  auto* front = static_cast<Front*>(std::malloc(sizeof(Front) + size));
  if (front == nullptr) return nullptr;
  front->size = size;
  g_now += size;
  if (g_now > g_most) g_most = g_now;
  return front + 1;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  Front* front = static_cast<Front*>(memory) - 1;
  g_now -= front->size;
  std::free(front);
}

void* allocate_or_throw(std::size_t size) {
  void* memory = allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

std::size_t g_before = 0;

}  // namespace

namespace fuzz {

void MemoryUse::begin() noexcept { g_before = g_most = g_now; }
std::size_t MemoryUse::most() noexcept { return g_most - g_before; }

}  // namespace fuzz

void* operator new(std::size_t size) { return allocate_or_throw(size); }
void* operator new[](std::size_t size) { return allocate_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }
