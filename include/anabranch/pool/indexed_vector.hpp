// A vector that is read by the index type of its table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch {

template <class T, class I>
class IndexedVector {
 public:
  explicit IndexedVector(std::pmr::memory_resource* memory) : items_(memory) {}

  T& operator[](I index) noexcept { return items_[index.offset()]; }
  const T& operator[](I index) const noexcept { return items_[index.offset()]; }
  T& back() noexcept { return items_.back(); }
  std::int32_t size() const noexcept { return static_cast<std::int32_t>(items_.size()); }
  bool empty() const noexcept { return items_.empty(); }
  /// The index that the next push_back gives.
  I end_index() const noexcept { return I(size()); }

  I push_back(const T& item) {
    const I index = end_index();
    items_.push_back(item);
    return index;
  }
  /// Appends an item with its default values, to be filled in place.
  T& add() { return items_.emplace_back(); }
  /// Makes the next `n` push_backs free of allocation; repeated calls stay linear.
  void reserve_more(std::size_t n) { impl::reserve_more(items_, n); }
  /// Appends copies of `value` until there are at least `n` items.
  void grow(std::int32_t n, const T& value) {
    if (n > size()) items_.resize(static_cast<std::size_t>(n), value);
  }
  void clear() noexcept { items_.clear(); }

  auto begin() noexcept { return items_.begin(); }
  auto end() noexcept { return items_.end(); }
  auto begin() const noexcept { return items_.begin(); }
  auto end() const noexcept { return items_.end(); }

 private:
  std::pmr::vector<T> items_;
};

}  // namespace anabranch
