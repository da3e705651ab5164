// Indices of tables. Each table has an index type of its own, so that the index of a page is never read as the index
// of a sequence; the containers of this folder take the index and hide the conversion to a size.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// "No cell": every index type can be made from it and compared with it.
struct NoIndex {};
inline constexpr NoIndex kNoIndex{};

/// Names one cell of a table. `Cell` only tells the tables apart. Names no cell until it is given a value.
template <class Cell>
struct Index {
  std::int32_t value = kNone;

  constexpr Index() noexcept = default;
  constexpr Index(NoIndex) noexcept {}
  constexpr explicit Index(std::int32_t value_of_index) noexcept : value(value_of_index) {}
  /// REQUIRES: the index names a cell.
  constexpr std::size_t offset() const noexcept { return static_cast<std::size_t>(value); }
  /// The next cell of the table.
  constexpr Index& operator++() noexcept {
    ++value;
    return *this;
  }
  friend constexpr auto operator<=>(const Index&, const Index&) = default;
};

/// A page of the pool.
using PageIndex = Index<struct Page>;
/// A row of the table of sequences. Unlike a SequenceId it has no generation: it is only used where the sequence is
/// known to be there.
using SequenceIndex = Index<struct SequenceCell>;

}  // namespace anabranch
