// Orders the rows of a pass by shared history, and finds the visibility groups.
//
// The histories of all rows form a forest: rows that share a view share the path to it. Walking it depth-first gives
// every view one interval of rows; a chain of views with the same interval is one group. Siblings are visited by the
// ordinals of their segments, which a join gives out anew, so a row always comes after the rows that it sees.
// Cost: O(views on the paths of the rows); nothing depends on the number of tokens.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/mask/visibility.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// New tokens [begin, end) of a segment: consecutive rows.
struct RowBlock {
  std::int32_t segment = kNone;
  std::int32_t base = kNone;  ///< history before the segment
  std::int32_t begin = 0;     ///< tokens of the segment that are not new
  std::int32_t end = 0;
  RowIndex first_row = 0;  ///< found by RowForest
};

template <PageSizeChoice PageSize>
class RowForest {
 public:
  using Blocks = impl::Lazily<std::pmr::vector<RowBlock>, PageSize>;
  using Groups = impl::Lazily<std::pmr::vector<VisibilityGroup>, PageSize>;
  using Views = impl::Lazily<std::pmr::vector<View>, PageSize>;

  explicit RowForest(std::pmr::memory_resource* memory)
      : entries_(memory), path_(memory), entry_of_node_(memory), touched_(memory), order_(memory) {}

  /// Sets `first_row` of every block, `order` to the blocks by row, and the groups with their views.
  void build(const History<PageSize>& history, Blocks& blocks);

  const impl::Lazily<std::pmr::vector<std::int32_t>, PageSize>& order() const noexcept { return order_; }
  void groups(const History<PageSize>& history, const Blocks& blocks, Groups& groups, Views& views) const;

 private:
  /// Tokens [begin, end) of one segment on the paths of all rows in [row_begin, row_end).
  struct Entry {
    std::uint64_t ordinal = 0;
    std::int32_t segment = kNone;
    std::int32_t begin = 0;
    std::int32_t end = 0;
    std::int32_t block = kNone;  ///< the rows themselves; such an entry has no children
    std::int32_t parent = kNone;
    std::int32_t first_child = kNone;
    std::int32_t last_child = kNone;
    std::int32_t next = kNone;
    std::int32_t previous = kNone;
    RowIndex row_begin = 0;
    RowIndex row_end = 0;
  };

  Entry& at(std::int32_t entry) noexcept { return entries_[static_cast<std::size_t>(entry)]; }
  const Entry& at(std::int32_t entry) const noexcept { return entries_[static_cast<std::size_t>(entry)]; }
  std::int32_t insert_history(const History<PageSize>& history, std::int32_t node);
  std::int32_t insert_view(std::int32_t parent, std::uint64_t ordinal, std::int32_t segment, std::int32_t end);
  std::int32_t add_child(std::int32_t parent, std::int32_t after, Entry entry);
  void number_rows(Blocks& blocks);
  std::int32_t next_in_preorder(std::int32_t entry) const noexcept;

  impl::Lazily<std::pmr::vector<Entry>, PageSize> entries_;  // 0 is the root of all
  impl::Lazily<std::pmr::vector<std::int32_t>, PageSize> path_;
  impl::Lazily<std::pmr::vector<std::int32_t>, PageSize> entry_of_node_;  // kNone, but for the nodes in touched_
  impl::Lazily<std::pmr::vector<std::int32_t>, PageSize> touched_;
  impl::Lazily<std::pmr::vector<std::int32_t>, PageSize> order_;
};

}  // namespace anabranch

#include <anabranch/mask/impl/row_forest.hpp>
