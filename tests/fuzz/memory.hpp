// Memory that refuses: the caller's allocator of a cache, which also counts, and operator new of the whole program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "anabranch.h"

namespace fuzz {

/// When calls of the library are refused memory. Counts only while a call is inside (see Armed).
struct Refusal {
  bool of_allocator = false;
  bool of_new = false;
  std::int32_t after = 0;  ///< allocations that still succeed
  std::int32_t count = 0;  ///< how many are refused then
};

/// For the next call.
extern Refusal g_refusal;

/// While it lives, refusals count. Callbacks suspend it, because their memory is not the library's.
class Armed {
 public:
  Armed();
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  /// Was anything refused?
  bool refused() const;
};
class Suspended {
 public:
  Suspended();
  ~Suspended();
  Suspended(const Suspended&) = delete;
  Suspended& operator=(const Suspended&) = delete;

 private:
  bool before_;
};

/// The memory that one cache holds from its allocator.
struct Ledger {
  std::int64_t n_blocks = 0;
  std::int64_t n_bytes = 0;
};
void* allocate(std::size_t size, std::size_t alignment, void* ledger);
void release(void* memory, std::size_t size, std::size_t alignment, void* ledger);

}  // namespace fuzz
