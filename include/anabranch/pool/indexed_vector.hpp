// A vector that is read by the index type of its table: an Index, or one of the signed integers that plans are made of
// (a row, a slot). Sizes are signed as well.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <utility>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch {

namespace impl {
template <class Cell>
constexpr std::size_t offset_of(Index<Cell> index) noexcept {
  return index.offset();
}
constexpr std::size_t offset_of(std::int32_t index) noexcept { return static_cast<std::size_t>(index); }
}  // namespace impl

template <class T, class I>
class IndexedVector {
 public:
  explicit IndexedVector(std::pmr::memory_resource* memory = std::pmr::get_default_resource()) : items_(memory) {}

  T& operator[](I index) noexcept { return items_[impl::offset_of(index)]; }
  const T& operator[](I index) const noexcept { return items_[impl::offset_of(index)]; }
  const T& front() const noexcept { return items_.front(); }
  T& back() noexcept { return items_.back(); }
  T* data() noexcept { return items_.data(); }
  const T* data() const noexcept { return items_.data(); }
  std::int32_t size() const noexcept { return static_cast<std::int32_t>(items_.size()); }
  bool empty() const noexcept { return items_.empty(); }
  /// The index that the next push_back gives.
  I end_index() const noexcept { return I(size()); }

  I push_back(const T& item) {
    const I index = end_index();
    items_.push_back(item);
    return index;
  }
  I push_back(T&& item) {
    const I index = end_index();
    items_.push_back(std::move(item));
    return index;
  }
  void pop_back() noexcept { items_.pop_back(); }
  /// Appends an item with its default values, to be filled in place.
  T& add() { return items_.emplace_back(); }
  /// Makes the next `n` push_backs free of allocation; repeated calls stay linear.
  void reserve_more(std::integral auto n) { impl::reserve_more(items_, n); }
  /// Appends copies of `value` until there are at least `n` items.
  void grow(std::int32_t n, const T& value) {
    if (n > size()) items_.resize(impl::offset_of(n), value);
  }
  /// Replaces everything by `n` copies of `value`.
  void assign(std::int32_t n, const T& value) { items_.assign(impl::offset_of(n), value); }
  /// Removes all items but the first `n`. REQUIRES: there are as many.
  void truncate(std::int32_t n) noexcept { items_.erase(items_.begin() + n, items_.end()); }
  void clear() noexcept { items_.clear(); }

  auto begin() noexcept { return items_.begin(); }
  auto end() noexcept { return items_.end(); }
  auto begin() const noexcept { return items_.begin(); }
  auto end() const noexcept { return items_.end(); }

 private:
  impl::MemoryVector<T> items_;
};

}  // namespace anabranch
