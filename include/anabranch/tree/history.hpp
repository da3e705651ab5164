// Histories: what a sequence sees, as a list of views of segments.
//
// The list is persistent and goes from the newest view to the oldest. Sequences share its older part: a fork copies one
// index, a join adds one node per view. Nodes and segments count who refers to them, and are released in a loop, never
// by recursion, however long a history is.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/pool/indexed_pool.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/tree/segment.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// One view: the first `end` tokens of a segment, after everything that `parent` holds.
struct HistoryNode {
  explicit HistoryNode(std::pmr::memory_resource*) {}
  std::uint64_t ordinal = 0;  ///< the segment's, or of a joined view its own; equal: the same view, cut shorter
  NextRule rule;              ///< the sequence's next position when the view is cut to k tokens
  NodeIndex parent;
  SegmentIndex segment;
  std::int32_t end = 0;
  std::int32_t n_tokens = 0;  ///< of the history up to and including this view
  Position next_before = 0;   ///< the sequence's next position just before this view came
  std::int32_t refs = 0;      ///< child nodes, sequence states, staged appends
  // Its place in the heap of the nodes that view the segment, the one that sees most on top.
  NodeIndex heap_child;     ///< first node below it
  NodeIndex heap_next;      ///< next node below the same one
  NodeIndex heap_previous;  ///< the one before it there; of a first child: its parent
};

template <PageSizeChoice PageSize>
class History {
 public:
  History(PagePool<PageSize>& pool, std::pmr::memory_resource* memory)
      : pool_(&pool), nodes_(memory), segments_(memory) {}

  HistoryNode& node(NodeIndex index) noexcept { return nodes_[index]; }
  const HistoryNode& node(NodeIndex index) const noexcept { return nodes_[index]; }
  Segment& segment(SegmentIndex index) noexcept { return segments_[index]; }
  const Segment& segment(SegmentIndex index) const noexcept { return segments_[index]; }
  const IndexedPool<HistoryNode, NodeIndex>& nodes() const noexcept { return nodes_; }
  const IndexedPool<Segment, SegmentIndex>& segments() const noexcept { return segments_; }
  /// Whether the index still names the segment that had this ordinal when the index was noted.
  bool has(SegmentIndex index, std::uint64_t ordinal) const noexcept {
    return segments_[index].refs > 0 && segments_[index].ordinal == ordinal;
  }
  /// Tokens of the history that ends with `node`; 0 for none.
  std::int32_t n_tokens(NodeIndex node) const noexcept { return node == kNoIndex ? 0 : nodes_[node].n_tokens; }
  /// Grows whenever the runs of a segment move in memory, but by an append.
  std::uint64_t n_moves() const noexcept { return n_moves_; }
  /// A number that no segment and no joined view has had before.
  std::uint64_t next_ordinal() noexcept { return ++ordinal_; }

  void reserve_nodes(std::int32_t n) { nodes_.reserve(n); }
  /// Adds a node with one reference: the first `end` tokens of a segment, at the positions that they were written at.
  /// Takes over the caller's reference to the parent, adds one to the segment.
  /// REQUIRES: reserve_nodes, when this must not throw.
  NodeIndex add_node(NodeIndex parent, SegmentIndex segment, std::int32_t end);
  /// Adds an empty segment with one reference, open for `writer`.
  SegmentIndex add_segment(Position first, std::uint64_t ordinal, SequenceIndex writer);

  void retain_node(NodeIndex index) noexcept {
    if (index != kNoIndex) ++nodes_[index].refs;
  }
  void retain_segment(SegmentIndex index) noexcept {
    if (index != kNoIndex) ++segments_[index].refs;
  }
  /// Drops one reference. Slots that nothing sees any more go back to the pool, pages with new room to
  /// `tail_recipient`, if there is one. O(nodes that go).
  void release_node(NodeIndex index, SequenceIndex tail_recipient) noexcept;
  void release_segment(SegmentIndex index, SequenceIndex tail_recipient) noexcept;
  /// Drops a reference to the history that ends with `head`, and cuts its segments to the tokens that are still seen.
  void release_history(NodeIndex head, SequenceIndex tail_recipient) noexcept;

  /// Cuts the history that ends with `head` to its first `n_keep` tokens. Takes over the reference to `head`, gives one
  /// to the node returned. Sets `next` to the next position there, unless nothing was cut. O(views cut).
  /// REQUIRES: reserve_nodes(1), when this must not throw.
  NodeIndex cut(NodeIndex head, std::int32_t n_keep, Position& next);

  /// Tokens of the segment that some view, or the sequence that writes it, still sees.
  std::int32_t seen(const Segment& s) const noexcept;
  /// Ends a step for one segment: slots that nobody sees go back to the pool.
  void settle(SegmentIndex index, SequenceIndex tail_recipient) noexcept;
  /// Undoes the open step for one segment; its new slots are the pool's business (PagePool::restore).
  void unsettle(SegmentIndex index) noexcept;

  /// Gives the runs of the view at `head`, and of those before it, room for the runs of `open` and of the views behind
  /// them, which a merge moves there: whether segments merge must not depend on the slots that they lie in. Part of
  /// planning. O(views whose positions continue).
  void reserve_merge(NodeIndex head, SegmentIndex open);
  /// Merges the segment that a sequence writes, `open`, into the segment of its newest view, `head`, and makes that
  /// the one that it writes: serial decoding then keeps one segment, not one per step. Repeats while nobody else holds
  /// either of the two and their positions continue; `next` is the sequence's next position. Changes `open`, returns
  /// the new head. Never allocates.
  NodeIndex merge_open(NodeIndex head, SegmentIndex& open, Position next) noexcept;

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  static constexpr int kMostMerged = 64;  // views that one commit merges: no more than a step adds
  bool can_merge(const HistoryNode& node, SegmentIndex open, Position next) const noexcept;
  void move_runs(SegmentIndex from, Segment& to) noexcept;
  void cut_slots(Segment& s, std::int32_t n, SequenceIndex tail_recipient) noexcept;
  // A pairing heap for each segment: insertion and the top are O(1), removal is O(log views) amortised.
  void link(NodeIndex index) noexcept;
  void unlink(NodeIndex index) noexcept;
  NodeIndex meld(NodeIndex a, NodeIndex b) noexcept;
  NodeIndex meld_children(NodeIndex first) noexcept;

  PagePool<PageSize>* pool_;
  IndexedPool<HistoryNode, NodeIndex> nodes_;
  IndexedPool<Segment, SegmentIndex> segments_;
  std::uint64_t ordinal_ = 0;
  std::uint64_t n_moves_ = 0;
};

}  // namespace anabranch

#include <anabranch/tree/impl/history.hpp>
