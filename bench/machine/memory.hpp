// Memory for big arrays that a bench reads from end to end: on pages of 2 MiB where the system gives them.
//
// Pages of 4 KiB cost 10 to 20 % of the read bandwidth here. Both sides of a comparison, and the measurement of the
// bandwidth itself, use this.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace anabranch::bench {

/// `size` elements of T, not initialised, aligned to 2 MiB.
template <class T>
class BigArray {
 public:
  BigArray() = default;
  explicit BigArray(std::size_t size) : size_(size) {
    constexpr std::size_t kPage = std::size_t{2} << 20;
    const std::size_t bytes = (size * sizeof(T) + kPage - 1) / kPage * kPage;
    memory_.reset(static_cast<T*>(std::aligned_alloc(kPage, bytes == 0 ? kPage : bytes)));
    if (memory_ == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(memory_.get(), bytes, MADV_HUGEPAGE);  // a wish: small pages will do
#endif
  }
  T* get() const noexcept { return memory_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::span<T> span() const noexcept { return {get(), size_}; }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace anabranch::bench
