// A table of reusable cells.
//
// Indices stay valid when the table grows. A freed cell keeps its value, and with it the capacity of vectors inside,
// for the next owner. Freeing never allocates.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/pool/reserve.hpp>

namespace anabranch {

template <class T, class I>
class IndexedPool {
 public:
  explicit IndexedPool(std::pmr::memory_resource* memory) : cells_(memory) {}

  /// Makes the next `n` calls of `acquire` free of allocation.
  void reserve(std::int32_t n) {
    if (n > n_free_) impl::reserve_more(cells_, n - n_free_);
  }

  /// Gives a cell with the value that its last owner left. O(1) amortised.
  I acquire() {
    if (first_free_ != kNoIndex) {
      const I index = first_free_;
      Cell& cell = cells_[index.offset()];
      first_free_ = cell.next_free;
      cell.next_free = kInUse;
      --n_free_;
      return index;
    }
    reserve(1);
    const I index(size());
    cells_.emplace_back(cells_.get_allocator().resource());
    return index;
  }

  /// REQUIRES: the cell is in use.
  void release(I index) noexcept {
    Cell& cell = cells_[index.offset()];
    cell.next_free = first_free_;
    first_free_ = index;
    ++n_free_;
  }

  /// Replaces everything by `size` cells, of which those in `used` (ascending) are in use.
  void rebuild(std::int32_t size, std::span<const I> used) {
    cells_.clear();
    impl::reserve_more(cells_, size);
    for (std::int32_t i = 0; i < size; ++i) cells_.emplace_back(cells_.get_allocator().resource());
    first_free_ = kNoIndex;
    n_free_ = 0;
    for (auto next = used.rbegin(); size-- > 0;) {  // from the back, so that low indices are taken first
      if (next != used.rend() && *next == I(size)) {
        ++next;
      } else {
        release(I(size));
      }
    }
  }

  bool in_use(I index) const noexcept {
    return index >= I(0) && index < I(size()) && cells_[index.offset()].next_free == kInUse;
  }
  /// Cells, those that are free included.
  std::int32_t size() const noexcept { return static_cast<std::int32_t>(cells_.size()); }

  T& operator[](I index) noexcept { return cells_[index.offset()].value; }
  const T& operator[](I index) const noexcept { return cells_[index.offset()].value; }

 private:
  static constexpr I kInUse{-2};
  struct Cell {
    explicit Cell(std::pmr::memory_resource* memory) : value(memory) {}
    T value;
    I next_free = kInUse;  ///< of a free cell: the next free one
  };

  impl::MemoryVector<Cell> cells_;
  I first_free_;
  std::int32_t n_free_ = 0;
};

}  // namespace anabranch
