#include "refusals.hpp"

#include <cstdlib>
#include <new>

Refusals refusals;

namespace {

bool refuse() noexcept {
  if (!refusals.armed) return false;
  const long i = refusals.n_asked++;
  const bool due =
      refusals.refuse_at >= 0 && (refusals.and_all_after ? i >= refusals.refuse_at : i == refusals.refuse_at);
  refusals.refused = refusals.refused || due;
  return due;
}

void* take(std::size_t size, std::size_t alignment) noexcept {
  if (refuse()) return nullptr;
  void* memory = std::aligned_alloc(alignment < 16 ? 16 : alignment, (size + 63) / 64 * 64 + 64);
  if (memory != nullptr) ++refusals.n_blocks;
  return memory;
}
void give(void* memory) noexcept {
  if (memory != nullptr) --refusals.n_blocks;
  std::free(memory);
}

}  // namespace

void* allocate(std::size_t size, std::size_t alignment, void*) { return take(size, alignment); }
void release(void* memory, std::size_t, std::size_t, void*) { give(memory); }

void* operator new(std::size_t size) {
  if (void* memory = take(size, 16)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* memory = take(size, static_cast<std::size_t>(alignment))) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size, 16); }
void operator delete(void* memory) noexcept { give(memory); }
void operator delete(void* memory, std::size_t) noexcept { give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give(memory); }
