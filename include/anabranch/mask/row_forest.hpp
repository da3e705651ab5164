// Orders the rows of a pass by shared history, and finds the visibility groups.
//
// The histories of all rows form a forest: rows that share a view share the path to it. Walking it depth-first gives
// every view one interval of rows; a chain of views with the same interval is one group. Siblings are visited by the
// ordinals of their segments, which a join gives out anew, so rows come after the rows that they see, with one
// exception: tokens that were joined from below a child without tokens may come after what their parent appends behind
// them. Nobody may rely on the order: K and V of all rows are written before any row attends.
//
// Cost: O(v log v) for v views on the paths of the rows; nothing depends on the number of tokens. A pass whose
// sequences only went on, in any order and with any numbers of rows, takes over the forest of the pass before: O(groups
// + rows).
#pragma once

#include <cstdint>
#include <memory_resource>
#include <tuple>

#include <anabranch/mask/visibility.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

using BlockIndex = Index<struct RowBlock>;

/// New tokens [begin, end) of a segment: consecutive rows. No two blocks are of one segment.
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
      : items_(memory),
        entries_(memory),
        path_(memory),
        entry_of_node_(memory),
        touched_(memory),
        order_(memory),
        groups_(memory),
        spans_(memory),
        views_(memory),
        kept_(memory),
        kept_of_segment_(memory) {}

  /// Sets `first_row` of every block, and what the functions below give until the next build. `epoch` is the tree's.
  /// REQUIRES: the blocks have slots.
  void build(const History<PageSize>& history, std::uint64_t epoch, Blocks& blocks);
  /// The blocks by row.
  const impl::MemoryVector<BlockIndex>& order() const noexcept { return order_; }
  /// The groups of the rows, and the views that they index into.
  const impl::MemoryVector<VisibilityGroup>& groups() const noexcept { return groups_; }
  const impl::MemoryVector<View>& views() const noexcept { return views_; }

 private:
  using EntryIndex = Index<struct ForestEntry>;
  static constexpr EntryIndex kRoot{0};

  /// One view on the path of some rows, or the rows of a block. Items of one ordinal are one chain: its views from the
  /// shortest to the longest, each behind the one before, and rows behind the view that ends where they begin.
  struct Item {
    std::uint64_t ordinal;
    std::int32_t end;  ///< of a view; where rows begin
    bool is_rows;
    SegmentIndex segment;
    NodeIndex base;    ///< the history before the ordinal's tokens
    NodeIndex node;    ///< the view's node; none for tokens of a block's segment that are not new, and for rows
    BlockIndex block;  ///< of rows
    auto key() const noexcept { return std::tuple(ordinal, end, is_rows); }
  };

  /// Tokens [begin, end) of one segment on the paths of all rows of the blocks [first, last) by row.
  struct Entry {
    std::uint64_t ordinal = 0;
    SegmentIndex segment;
    std::int32_t begin = 0;
    std::int32_t end = 0;
    NodeIndex base;    ///< the history before its chain
    BlockIndex block;  ///< the rows themselves; such an entry has no children
    EntryIndex parent;
    EntryIndex first_child;
    EntryIndex last_child;
    EntryIndex next;
    EntryIndex previous;
    std::int32_t first = 0;
    std::int32_t last = 0;
  };

  /// The rows of a group, as an interval of the blocks by row.
  struct Span {
    std::int32_t first = 0;
    std::int32_t last = 0;
  };

  /// A block of the last build; where it is among the blocks by row is its index.
  struct Kept {
    std::uint64_t ordinal;
    SegmentIndex segment;
    NodeIndex base;
    std::int32_t group;  ///< the last group of its rows, which ends with a view of their own segment; kNone: no such
  };

  bool take_over(const History<PageSize>& history, Blocks& blocks);
  void collect(const History<PageSize>& history, const Blocks& blocks);
  void collect_history(const History<PageSize>& history, NodeIndex node);
  void add_entries(const Blocks& blocks);
  void link_entries();
  void number_blocks();
  void find_groups(const History<PageSize>& history, const Blocks& blocks);
  void add_view(const View& view, Span rows, Visibility visibility);
  void keep(const History<PageSize>& history, std::uint64_t epoch, const Blocks& blocks);
  void number_rows(Blocks& blocks);
  EntryIndex next_in_preorder(EntryIndex entry) const noexcept;
  bool is_one_row(const Blocks& blocks, EntryIndex entry) const noexcept;

  impl::MemoryVector<Item> items_;
  IndexedVector<Entry, EntryIndex> entries_;  // [kRoot] is the root of all
  impl::MemoryVector<NodeIndex> path_;
  IndexedVector<EntryIndex, NodeIndex> entry_of_node_;  // none, but for the nodes in touched_
  impl::MemoryVector<NodeIndex> touched_;
  impl::MemoryVector<BlockIndex> order_;
  impl::MemoryVector<VisibilityGroup> groups_;
  impl::MemoryVector<Span> spans_;  // [n_groups]
  impl::MemoryVector<View> views_;
  // Of the last build, for take_over:
  IndexedVector<Kept, std::int32_t> kept_;
  IndexedVector<std::int32_t, SegmentIndex> kept_of_segment_;  // index in kept_, or kNone
  std::uint64_t kept_epoch_ = 0;                               // 0: nothing is kept
  std::uint64_t kept_moves_ = 0;
};

}  // namespace anabranch

#include <anabranch/mask/impl/row_forest.hpp>
