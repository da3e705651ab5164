// The caller's allocator as a memory resource.
#pragma once

#include <memory_resource>
#include <new>

#include "anabranch.h"

namespace anabranch::capi {

class CallerMemory final : public std::pmr::memory_resource {
 public:
  /// Null callbacks: the C++ runtime's memory.
  explicit CallerMemory(const anb_allocator& allocator) noexcept : allocator_(allocator) {}

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    if (allocator_.allocate == nullptr) return std::pmr::new_delete_resource()->allocate(size, alignment);
    void* memory = nullptr;
    try {
      memory = allocator_.allocate(size > 0 ? size : 1, alignment, allocator_.user);
    } catch (...) {  // as good as a refusal
    }
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t alignment) override {
    if (allocator_.allocate == nullptr) return std::pmr::new_delete_resource()->deallocate(memory, size, alignment);
    allocator_.release(memory, size > 0 ? size : 1, alignment, allocator_.user);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  anb_allocator allocator_;
};

}  // namespace anabranch::capi
