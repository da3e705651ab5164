// Segments, and the histories made of views of them.
//
// A segment is an append-only run of one sequence's tokens. A history is a persistent list of views, newest first,
// shared structurally between sequences: forking copies one index, joining adds one node per view. Everything is
// counted, and released with a loop, never by recursion, however long a history is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/pool/indexed_pool.hpp>
#include <anabranch/pool/lazily.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

namespace impl {
/// Index of the run that holds token `offset` of a segment.
inline std::int32_t run_of(const std::pmr::vector<SlotRun>& runs, std::int32_t offset) noexcept {
  const auto after = std::upper_bound(runs.begin(), runs.end(), offset,
                                      [](std::int32_t value, const SlotRun& run) { return value < run.offset; });
  return static_cast<std::int32_t>(after - runs.begin()) - 1;
}
inline std::int32_t n_slots(const std::pmr::vector<SlotRun>& runs) noexcept {
  return runs.empty() ? 0 : runs.back().offset + runs.back().count;
}
}  // namespace impl

struct Segment {
  explicit Segment(std::pmr::memory_resource* memory) : runs(memory) {}
  std::pmr::vector<SlotRun> runs;   ///< slots of the tokens that have some, in order
  std::uint64_t ordinal = 0;        ///< unique; orders rows, and is the View's segment number
  Position first = 0;               ///< position of token 0; token i has first + i
  std::int32_t length = 0;          ///< tokens, those of the open step included
  std::int32_t committed = 0;       ///< tokens before the open step; they have slots
  std::int32_t refs = 0;            ///< nodes, and sequence states that have it open
  std::int32_t writer = kNone;      ///< sequence that has it open now
  std::int32_t first_node = kNone;  ///< nodes that view it
  std::int32_t staged = kNone;      ///< its entry among the open step's appends
};

/// One view: the first `end` tokens of a segment, after everything that `parent` holds.
struct HistoryNode {
  explicit HistoryNode(std::pmr::memory_resource*) {}
  std::uint64_t ordinal =
      0;          ///< the segment's own, or for a joined view its own: equal means the same view, cut shorter
  NextRule rule;  ///< next position when the view is cut to k tokens
  std::int32_t parent = kNone;
  std::int32_t segment = kNone;
  std::int32_t end = 0;
  std::int32_t n_tokens = 0;  ///< of the history up to and including this view
  Position next_before = 0;   ///< next position of the sequence just before this view came
  std::int32_t refs = 0;      ///< child nodes, sequence states, staged appends
  std::int32_t next_of_segment = kNone;
  std::int32_t previous_of_segment = kNone;
};

template <PageSizeChoice PageSize>
class History {
 public:
  History(PagePool<PageSize>& pool, std::pmr::memory_resource* memory)
      : pool_(&pool), nodes_(memory), segments_(memory) {}

  HistoryNode& node(std::int32_t index) noexcept { return nodes_[index]; }
  const HistoryNode& node(std::int32_t index) const noexcept { return nodes_[index]; }
  Segment& segment(std::int32_t index) noexcept { return segments_[index]; }
  const Segment& segment(std::int32_t index) const noexcept { return segments_[index]; }
  const IndexedPool<HistoryNode>& nodes() const noexcept { return nodes_; }
  const IndexedPool<Segment>& segments() const noexcept { return segments_; }

  std::int32_t n_tokens(std::int32_t node) const noexcept { return node == kNone ? 0 : nodes_[node].n_tokens; }
  std::uint64_t next_ordinal() noexcept { return ++ordinal_; }

  void reserve_nodes(std::int32_t n) { nodes_.reserve(n); }

  /// A node with one reference. Takes over the caller's reference to `parent`, adds one to the segment.
  /// REQUIRES: reserve_nodes, when this must not throw.
  std::int32_t add_node(std::int32_t parent, std::int32_t segment, std::int32_t end, std::uint64_t ordinal,
                        NextRule rule, Position next_before) {
    const std::int32_t index = nodes_.acquire();
    HistoryNode& node = nodes_[index];
    node.ordinal = ordinal;
    node.rule = rule;
    node.parent = parent;
    node.segment = segment;
    node.end = end;
    node.n_tokens = n_tokens(parent) + end;
    node.next_before = next_before;
    node.refs = 1;
    link(index);
    ++segments_[segment].refs;
    return index;
  }
  /// An empty segment with one reference, open for `writer`.
  std::int32_t add_segment(Position first, std::uint64_t ordinal, std::int32_t writer) {
    const std::int32_t index = segments_.acquire();
    Segment& s = segments_[index];
    s.runs.clear();
    s.ordinal = ordinal;
    s.first = first;
    s.length = s.committed = 0;
    s.refs = 1;
    s.writer = writer;
    s.first_node = s.staged = kNone;
    return index;
  }

  void retain_node(std::int32_t index) noexcept {
    if (index != kNone) ++nodes_[index].refs;
  }
  void retain_segment(std::int32_t index) noexcept {
    if (index != kNone) ++segments_[index].refs;
  }
  /// Drops one reference; slots that nothing sees any more go back to the pool, pages with new room to
  /// `tail_recipient`.
  void release_node(std::int32_t index, std::int32_t tail_recipient) noexcept {
    while (index != kNone && --nodes_[index].refs == 0) {
      unlink(index);
      release_segment(nodes_[index].segment, tail_recipient);
      nodes_.release(index);
      index = nodes_[index].parent;
    }
  }
  void release_segment(std::int32_t index, std::int32_t tail_recipient) noexcept {
    if (index == kNone) return;
    Segment& s = segments_[index];
    if (--s.refs == 0) {
      cut_slots(s, 0, tail_recipient);
      s.ordinal = 0;
      segments_.release(index);
    }
  }

  /// Tokens of the segment that some view, or the sequence that writes it, still sees. O(views of the segment).
  std::int32_t seen(const Segment& s) const noexcept {
    std::int32_t end = s.writer != kNone ? s.length : 0;
    for (std::int32_t n = s.first_node; n != kNone; n = nodes_[n].next_of_segment) end = std::max(end, nodes_[n].end);
    return end;
  }
  /// Ends a step for one segment: what nobody sees goes back to the pool.
  void settle(std::int32_t index, std::int32_t tail_recipient) noexcept {
    Segment& s = segments_[index];
    s.length = s.committed = std::min(s.length, seen(s));
    s.staged = kNone;
    cut_slots(s, s.length, tail_recipient);
  }
  /// Undoes the open step for one segment; its new slots are the pool's business (PagePool::restore).
  void unsettle(std::int32_t index) noexcept {
    Segment& s = segments_[index];
    s.length = s.committed;
    s.staged = kNone;
    forget_slots(s, s.committed);
  }
  /// Drops the slots past the first `n` tokens without telling the pool.
  static void forget_slots(Segment& s, std::int32_t n) noexcept {
    while (!s.runs.empty() && s.runs.back().offset >= n) s.runs.pop_back();
    if (!s.runs.empty() && s.runs.back().offset + s.runs.back().count > n)
      s.runs.back().count = n - s.runs.back().offset;
  }

  /// Makes the node at the head of a sequence one with the segment that the sequence writes, when nobody else holds
  /// either and their positions continue; `next` is the sequence's. Returns the new head. `open` becomes the node's
  /// segment. Never allocates.
  std::int32_t coalesce(std::int32_t head, std::int32_t& open, Position next) noexcept {
    while (head != kNone && nodes_[head].refs == 1) {
      HistoryNode& node = nodes_[head];
      Segment& older = segments_[node.segment];
      const bool whole = older.refs == 1 && node.end == older.length && node.rule.shift == older.first &&
                         node.rule.floor <= older.first;
      if (!whole || (open == kNone && next != older.first + older.length)) return head;
      if (open != kNone) {
        Segment& newer = segments_[open];
        const std::size_t needed = older.runs.size() + newer.runs.size();
        if (newer.refs != 1 || newer.first != older.first + older.length || older.runs.capacity() < needed) return head;
        move_runs(newer, older);
        newer.writer = kNone;
        newer.refs = 0;
        newer.ordinal = 0;
        segments_.release(open);
      }
      open = node.segment;  // the node's reference becomes the sequence's
      unlink(head);
      const std::int32_t parent = node.parent;
      nodes_.release(head);
      head = parent;
    }
    return head;
  }

  /// Adds slots for the next tokens of a segment; adjacent ones become one run. REQUIRES: room in `runs`.
  static void add_slots(Segment& s, Slot first, std::int32_t count) {
    if (!s.runs.empty()) {
      SlotRun& last = s.runs.back();
      if (last.first + last.count == first) {
        last.count += count;
        return;
      }
    }
    s.runs.push_back({first, count, impl::n_slots(s.runs)});
  }

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;

  static void move_runs(Segment& from, Segment& to) noexcept {
    for (const SlotRun& run : from.runs) add_slots(to, run.first, run.count);
    from.runs.clear();
    to.length += from.length;
    to.committed = to.length;
  }
  void cut_slots(Segment& s, std::int32_t n, std::int32_t tail_recipient) noexcept {
    while (!s.runs.empty()) {
      SlotRun& run = s.runs.back();
      const std::int32_t keep = std::max(0, n - run.offset);
      if (keep >= run.count) return;
      pool_->release(run.first + keep, run.count - keep, tail_recipient);
      if (keep > 0) {
        run.count = keep;
        return;
      }
      s.runs.pop_back();
    }
  }
  void link(std::int32_t index) noexcept {
    HistoryNode& node = nodes_[index];
    Segment& s = segments_[node.segment];
    node.previous_of_segment = kNone;
    node.next_of_segment = s.first_node;
    if (s.first_node != kNone) nodes_[s.first_node].previous_of_segment = index;
    s.first_node = index;
  }
  void unlink(std::int32_t index) noexcept {
    HistoryNode& node = nodes_[index];
    if (node.previous_of_segment != kNone) {
      nodes_[node.previous_of_segment].next_of_segment = node.next_of_segment;
    } else {
      segments_[node.segment].first_node = node.next_of_segment;
    }
    if (node.next_of_segment != kNone) nodes_[node.next_of_segment].previous_of_segment = node.previous_of_segment;
  }

  PagePool<PageSize>* pool_;
  impl::Lazily<IndexedPool<HistoryNode>, PageSize> nodes_;
  impl::Lazily<IndexedPool<Segment>, PageSize> segments_;
  std::uint64_t ordinal_ = 0;
};

}  // namespace anabranch
