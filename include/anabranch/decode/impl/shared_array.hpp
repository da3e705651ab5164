// SharedArray: an array that grows at its end, cheap to copy for a transaction.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include <anabranch/version.hpp>

namespace anabranch::impl {

/// Copies share one array; each sees as many of its first items as it had when it was copied, and appending to one adds
/// items behind those. REQUIRES: of the copies that share an array only one is ever appended to, unless the one that
/// was appended to is dropped. So it is with a request's copy in a transaction: either the copy or the original is
/// dropped.
template <class T>
class SharedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const T& back() const noexcept { return all().back(); }
  const T& operator[](std::size_t i) const noexcept { return items_.get()[i]; }
  std::span<const T> all() const noexcept { return {items_.get(), size_}; }

  void push_back(const T& item) { append({&item, 1}); }
  /// REQUIRES: not items of its own.
  void append(std::span<const T> items) {
    if (items.size() > capacity_ - size_) move_to(std::max(size_ + items.size(), 2 * capacity_));
    std::copy(items.begin(), items.end(), items_.get() + size_);
    size_ += items.size();
  }
  /// Keeps the first n. What follows must not overwrite what a copy sees.
  void shorten(std::size_t n) {
    size_ = n;
    if (items_.use_count() > 1) move_to(capacity_);
  }

 private:
  void move_to(std::size_t capacity) {
    auto items = std::make_shared_for_overwrite<T[]>(capacity);
    std::copy_n(items_.get(), size_, items.get());
    items_ = std::move(items);
    capacity_ = capacity;
  }

  std::shared_ptr<T[]> items_;  // [capacity_]; others may see the first of them
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace anabranch::impl
