// Apart from the test, because a compiler that sees both halves of a replaced pair warns of it.
#include "refusing_new.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

bool (*refusing_new::refuse)() = nullptr;

namespace {
/// Null: refused.
void* take(std::size_t size, std::size_t alignment) noexcept {
  if (refusing_new::refuse != nullptr && refusing_new::refuse()) return nullptr;
  alignment = std::max(alignment, alignof(std::max_align_t));
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment + alignment);
}
void* allocate(std::size_t size, std::size_t alignment) {
  void* memory = take(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Also the forms that do not throw: under a sanitizer they are not made of those that do.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size, 1); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size, 1); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

void* operator new(std::size_t size) { return allocate(size, 1); }
void* operator new[](std::size_t size) { return allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
