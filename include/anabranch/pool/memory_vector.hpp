// MemoryVector: a vector whose memory comes from a std::pmr::memory_resource.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::impl {

/// Does not hand itself on to the items, unlike std::pmr::polymorphic_allocator, whose way of doing so makes up a fifth
/// of what a compiler spends on a std::pmr::vector: a program that includes the core would pay for it.
template <class T>
class MemoryAllocator {
 public:
  using value_type = T;
  MemoryAllocator(std::pmr::memory_resource* memory) noexcept : memory_(memory) {}
  template <class U>
  MemoryAllocator(const MemoryAllocator<U>& other) noexcept : memory_(other.resource()) {}

  T* allocate(std::size_t n) { return static_cast<T*>(memory_->allocate(n * sizeof(T), alignof(T))); }
  void deallocate(T* items, std::size_t n) noexcept { memory_->deallocate(items, n * sizeof(T), alignof(T)); }
  std::pmr::memory_resource* resource() const noexcept { return memory_; }
  friend bool operator==(const MemoryAllocator& a, const MemoryAllocator& b) noexcept {
    return a.memory_ == b.memory_ || *a.memory_ == *b.memory_;
  }

 private:
  std::pmr::memory_resource* memory_;
};

template <class T>
using MemoryVector = std::vector<T, MemoryAllocator<T>>;

}  // namespace anabranch::impl
