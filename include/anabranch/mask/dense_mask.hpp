// Visibility groups as a dense matrix, for hosts that know nothing better. O(rows * columns).
//
// Columns stand for cached tokens in one of three orders: by slot, by a caller's map from slots, or in the order in
// which rows arrived at a host whose own cache only ever appends.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Says in which column a slot's token stands, or kNone.
template <class C>
concept SlotColumns = requires(const C& columns, Slot slot) {
  { columns.column(slot) } -> std::convertible_to<std::int32_t>;
};

/// Column = slot.
struct ColumnsBySlot {
  std::int32_t column(Slot slot) const noexcept { return slot; }
};

/// Column = columns[slot]; slots outside the map have none.
struct ColumnsByMap {
  std::span<const std::int32_t> columns;  ///< [n_slots], borrowed
  std::int32_t column(Slot slot) const noexcept {
    return slot >= 0 && slot < std::ssize(columns) ? columns.begin()[slot] : kNone;
  }
};

/// Column = how many rows came before. Add each pass's slots before its mask is made.
class ColumnsByArrival {
 public:
  /// The rows of one pass, in order. A slot that is used again means its newest token.
  void add(std::span<const Slot> slots) {
    std::vector<Before> before;
    before.reserve(slots.size());
    const Slot highest = slots.empty() ? kNoSlot : *std::max_element(slots.begin(), slots.end());
    columns_.grow(highest + 1, kNone);
    for (const Slot slot : slots) {
      std::int32_t& column = columns_[slot];
      before.push_back({slot, column});
      column = size_++;
    }
    last_ = std::move(before);
  }
  /// The last pass was aborted and the host has cropped its cache: undoes the last `add`, once.
  void remove_last() noexcept {
    for (const Before& b : last_) columns_[b.slot] = b.column;
    size_ -= static_cast<std::int32_t>(last_.size());
    last_.clear();
  }
  std::int32_t column(Slot slot) const noexcept { return ColumnsByMap{columns_}.column(slot); }
  /// Rows that arrived so far: the mask's number of columns.
  std::int32_t size() const noexcept { return size_; }

 private:
  struct Before {
    Slot slot;
    std::int32_t column;
  };
  IndexedVector<std::int32_t, Slot> columns_;
  std::vector<Before> last_;
  std::int32_t size_ = 0;
};

/// Writes [n_rows, n_columns], row-major: `visible` where the row sees the column's token, else `hidden` (an additive
/// mask has 0 and -infinity). Throws bad_argument, with nothing written, for a wrong size of `out`, or a seen slot
/// without a column.
template <SlotColumns Columns, class T>
void dense_mask(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows,
                const Columns& columns, std::int32_t n_columns, std::span<T> out, T visible, T hidden) {
  if (n_rows < 0 || n_columns < 0 || std::ssize(out) != std::ptrdiff_t{n_rows} * n_columns)
    fail(Status::bad_argument, "dense mask of ", n_rows, " x ", n_columns, " into ", out.size(), " elements");
  for (const VisibilityGroup& group : groups)
    for_each_run(group, views, [&](Slot first, std::int32_t count) {
      for (Slot slot = first; slot < first + count; ++slot)
        if (const std::int32_t column = columns.column(slot); column < 0 || column >= n_columns)
          fail(Status::bad_argument, "slot ", slot, " is seen and has column ", column, " of ", n_columns);
    });
  std::fill(out.begin(), out.end(), hidden);
  for (const VisibilityGroup& group : groups) {
    std::int32_t key = 0;
    for_each_run(group, views, [&](Slot first, std::int32_t count) {
      for (std::int32_t i = 0; i < count; ++i, ++key) {
        const std::int32_t column = columns.column(first + i);
        const std::int32_t n_after = group.n_keys - 1 - key;  // causal: hidden from the rows before its own
        const RowIndex from = group.visibility == Visibility::causal
                                  ? std::max(group.row_begin, group.row_end - 1 - n_after)
                                  : group.row_begin;
        for (RowIndex row = from; row < group.row_end; ++row)
          out.begin()[std::ptrdiff_t{row} * n_columns + column] = visible;
      }
    });
  }
}

}  // namespace anabranch
