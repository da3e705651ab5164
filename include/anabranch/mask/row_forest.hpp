// Orders the rows of a pass by shared history, and finds the visibility groups.
//
// The histories of all rows form a forest: rows that share a view share the path to it. Walking it depth-first gives
// every view one interval of rows; a chain of views with the same interval is one group. Siblings are visited by the
// ordinals of their segments, which a join gives out anew, so rows come after the rows that they see, with one
// exception: tokens that were joined from below a child without tokens may come after what their parent appends behind
// them. Nobody may rely on the order: K and V of all rows are written before any row attends. Cost: O(views on the
// paths of the rows); nothing depends on the number of tokens.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/mask/visibility.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

using BlockIndex = Index<struct RowBlock>;

/// New tokens [begin, end) of a segment: consecutive rows.
struct RowBlock {
  SegmentIndex segment;
  NodeIndex base;          ///< history before the segment
  std::int32_t begin = 0;  ///< tokens of the segment that are not new
  std::int32_t end = 0;
  RowIndex first_row = 0;  ///< found by RowForest
};

template <PageSizeChoice PageSize>
class RowForest {
 public:
  using Blocks = IndexedVector<RowBlock, BlockIndex>;

  explicit RowForest(std::pmr::memory_resource* memory)
      : entries_(memory), path_(memory), entry_of_node_(memory), touched_(memory), order_(memory) {}

  /// Sets `first_row` of every block, and `order` to the blocks by row.
  void build(const History<PageSize>& history, Blocks& blocks);
  /// The blocks by row. Valid until the next build.
  const std::pmr::vector<BlockIndex>& order() const noexcept { return order_; }
  /// Sets the groups of the rows, with their views. REQUIRES: build, with the same history and blocks, which have
  /// slots.
  void groups(const History<PageSize>& history, const Blocks& blocks, std::pmr::vector<VisibilityGroup>& groups,
              std::pmr::vector<View>& views) const;

 private:
  using EntryIndex = Index<struct ForestEntry>;
  static constexpr EntryIndex kRoot{0};
  /// Tokens [begin, end) of one segment on the paths of all rows in [row_begin, row_end).
  struct Entry {
    std::uint64_t ordinal = 0;
    SegmentIndex segment;
    std::int32_t begin = 0;
    std::int32_t end = 0;
    BlockIndex block;  ///< the rows themselves; such an entry has no children
    EntryIndex parent;
    EntryIndex first_child;
    EntryIndex last_child;
    EntryIndex next;
    EntryIndex previous;
    RowIndex row_begin = 0;
    RowIndex row_end = 0;
  };

  /// The first `end` tokens of a segment.
  struct Tokens {
    std::uint64_t ordinal;
    SegmentIndex segment;
    std::int32_t end;
  };

  EntryIndex insert_history(const History<PageSize>& history, NodeIndex node);
  EntryIndex insert_view(EntryIndex parent, Tokens view);
  void insert_rows(EntryIndex parent, Tokens rows, std::int32_t begin, BlockIndex block);
  EntryIndex split(EntryIndex entry, std::int32_t end);
  EntryIndex add_child(EntryIndex parent, EntryIndex after, Tokens tokens);
  void number_rows(Blocks& blocks);
  EntryIndex next_in_preorder(EntryIndex entry) const noexcept;
  bool is_one_row(const Blocks& blocks, EntryIndex entry) const noexcept;

  IndexedVector<Entry, EntryIndex> entries_;  // [kRoot] is the root of all
  std::pmr::vector<NodeIndex> path_;
  IndexedVector<EntryIndex, NodeIndex> entry_of_node_;  // none, but for the nodes in touched_
  std::pmr::vector<NodeIndex> touched_;
  std::pmr::vector<BlockIndex> order_;
};

}  // namespace anabranch

#include <anabranch/mask/impl/row_forest.hpp>
