#include "snapshot_memory.hpp"

#include <cstdlib>
#include <new>

namespace {

std::size_t g_allocated = 0;

void* allocate(std::size_t n) noexcept {
  g_allocated += n;
  return std::malloc(n == 0 ? 1 : n);
}

}  // namespace

void* operator new(std::size_t n) {
  if (void* memory = allocate(n)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t n) { return operator new(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace fuzz {

AllocatedBytes::AllocatedBytes() : before_(g_allocated) {}
std::size_t AllocatedBytes::so_far() const { return g_allocated - before_; }

}  // namespace fuzz
