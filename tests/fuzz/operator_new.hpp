// operator new of the whole program: what it gave, and whether it gives.
#pragma once

#include <cstddef>

namespace fuzz {

/// Memory from operator new since this was made. One at a time.
class MemoryUse {
 public:
  MemoryUse();
  /// Over all allocations: what was given back counts too.
  std::size_t allocated() const noexcept;
  /// The most bytes that were in use at once.
  std::size_t most() const noexcept;

 private:
  std::size_t allocated_before_, now_before_;
};

/// Asked about every allocation; true: it fails. nullptr: none does.
extern bool (*g_refuse_new)(std::size_t size);

/// Memory of at least that alignment, for std::free; nullptr when there is none.
void* aligned_memory(std::size_t size, std::size_t alignment) noexcept;

}  // namespace fuzz
