// A table of reusable cells, addressed by 32-bit index.
//
// Indices stay valid when the table grows, a freed cell keeps its value (and with it the capacity of vectors inside)
// for the next owner, and freeing never allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/pool/reserve.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <class T>
class IndexedPool {
 public:
  explicit IndexedPool(std::pmr::memory_resource* memory) : cells_(memory) {}

  /// Makes the next `n` calls of `acquire` free of allocation.
  void reserve(std::int32_t n) {
    if (n > n_free_) impl::reserve_more(cells_, static_cast<std::size_t>(n - n_free_));
  }

  /// A cell with the value its last owner left. O(1) amortised.
  std::int32_t acquire() {
    if (first_free_ != kNone) {
      const std::int32_t index = first_free_;
      Cell& cell = at(index);
      first_free_ = cell.next_free;
      cell.next_free = kInUse;
      --n_free_;
      return index;
    }
    reserve(1);
    cells_.emplace_back(cells_.get_allocator().resource());
    return static_cast<std::int32_t>(cells_.size()) - 1;
  }

  void release(std::int32_t index) noexcept {
    Cell& cell = at(index);
    cell.next_free = first_free_;
    first_free_ = index;
    ++n_free_;
  }

  /// Replaces everything by `size` cells of which those in `used` (ascending indices) are in use.
  template <class Indices>
  void rebuild(std::int32_t size, const Indices& used) {
    cells_.clear();
    cells_.reserve(static_cast<std::size_t>(size));
    for (std::int32_t i = 0; i < size; ++i) cells_.emplace_back(cells_.get_allocator().resource());
    first_free_ = kNone;
    n_free_ = 0;
    for (auto next = used.rbegin(); size-- > 0;) {  // from the back, so that low indices are taken first
      if (next != used.rend() && *next == size) {
        ++next;
      } else {
        release(size);
      }
    }
  }

  bool in_use(std::int32_t index) const noexcept {
    return index >= 0 && static_cast<std::size_t>(index) < cells_.size() &&
           cells_[static_cast<std::size_t>(index)].next_free == kInUse;
  }
  std::int32_t size() const noexcept { return static_cast<std::int32_t>(cells_.size()); }

  T& operator[](std::int32_t index) noexcept { return at(index).value; }
  const T& operator[](std::int32_t index) const noexcept { return cells_[static_cast<std::size_t>(index)].value; }

 private:
  static constexpr std::int32_t kInUse = -2;
  struct Cell {
    explicit Cell(std::pmr::memory_resource* memory) : value(memory) {}
    T value;
    std::int32_t next_free = kInUse;
  };
  Cell& at(std::int32_t index) noexcept { return cells_[static_cast<std::size_t>(index)]; }

  std::pmr::vector<Cell> cells_;
  std::int32_t first_free_ = kNone;
  std::int32_t n_free_ = 0;
};

}  // namespace anabranch
