// SnapshotAccess: copies a cache's tables into a snapshot, and back.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include <anabranch/cache/snapshot.hpp>
#include <anabranch/error.hpp>
#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <class Policy, PageSizeChoice PageSize>
class SnapshotAccess {
 public:
  using Tree = BranchTree<Policy, PageSize>;
  using Pool = PagePool<PageSize>;
  static_assert(std::is_trivially_copyable_v<Policy> && std::has_unique_object_representations_v<Policy>,
                "a position policy is a number, not data");

  static Snapshot take(const Tree& tree, const Pool& pool) {
    Snapshot s;
    s.n_pages = pool.n_pages();
    s.n_free_pages = pool.n_free();
    s.page_size = pool.page_size();
    const TreeLimits& limits = tree.sequences_.limits_;
    s.max_sequences = limits.max_sequences;
    s.max_depth = limits.max_depth;
    s.max_position = limits.max_position;
    s.first_generation = limits.first_generation;
    s.ordinal = tree.history_.ordinal_;
    for (const Page& page : pool.pages_) s.pages.push_back({page.used, page.fill, page.writer.value});
    take_history(tree, pool, s);
    return s;
  }

  /// REQUIRES: `tree` and `pool` are fresh and have the snapshot's sizes; s.check() is empty.
  static void restore(const Snapshot& s, Tree& tree, Pool& pool) {
    tree.history_.ordinal_ = s.ordinal;
    restore_segments(s, tree.history_);
    restore_nodes(s, tree.history_);
    restore_sequences(s, tree.sequences_);
    restore_pages(s, pool);
  }

 private:
  using Tables = History<PageSize>;
  using Sequences = SequenceTable<Policy>;

  /// Numbers the cells in use by their order, as a snapshot does.
  template <class T, class I>
  class Numbers {
   public:
    explicit Numbers(const IndexedPool<T, I>& table) : places_(std::pmr::get_default_resource()) {
      std::int32_t n = 0;
      for (I i{0}; i < I(table.size()); ++i) places_.push_back(table.in_use(i) ? n++ : kNone);
    }
    std::int32_t operator()(I index) const { return index == kNoIndex ? kNone : places_[index]; }

   private:
    IndexedVector<std::int32_t, I> places_;
  };

  static void take_history(const Tree& tree, const Pool& pool, Snapshot& s) {
    const Tables& history = tree.history_;
    const Numbers<Segment, SegmentIndex> segment(history.segments_);  // clang 14 deduces no nested template
    const Numbers<HistoryNode, NodeIndex> node(history.nodes_);
    for (SegmentIndex i{0}; i < SegmentIndex(history.segments_.size()); ++i) {
      if (!history.segments_.in_use(i)) continue;
      const Segment& g = history.segment(i);
      s.segments.push_back(
          {segment(i), g.ordinal, g.first, g.length, g.refs, g.writer.value, {g.runs.begin(), g.runs.end()}});
    }
    for (NodeIndex i{0}; i < NodeIndex(history.nodes_.size()); ++i) {
      if (!history.nodes_.in_use(i)) continue;
      const HistoryNode& n = history.node(i);
      s.nodes.push_back(
          {node(i), n.ordinal, n.rule, node(n.parent), segment(n.segment), n.end, n.n_tokens, n.next_before, n.refs});
    }
    for (SequenceIndex i{0}; i < SequenceIndex(tree.sequences_.size()); ++i) {
      Snapshot::SequenceEntry e = take_sequence(tree.sequences_, pool, i);
      if (e.alive) {
        e.head = node(tree.sequences_[i].head);
        e.fork_node = node(tree.sequences_[i].fork_node);
        e.open = segment(tree.sequences_[i].open);
      }
      s.sequences.push_back(std::move(e));
    }
  }

  static Snapshot::SequenceEntry take_sequence(const Sequences& sequences, const Pool& pool, SequenceIndex i) {
    Snapshot::SequenceEntry e;
    e.index = i.value;
    e.generation = sequences.records_[i].generation;
    if (!sequences.records_.in_use(i)) return e;
    const auto& state = sequences[i];
    e.alive = true;
    e.parent = state.parent.value;
    e.next = state.next;
    e.start = state.start;
    e.fork_tokens = state.fork_tokens;
    e.limit = state.limit;
    e.hold = state.hold;
    e.reserved_ordinal = state.reserved_ordinal;
    e.has_rejected = state.has_rejected;
    e.policy.resize(sizeof(Policy));
    std::memcpy(e.policy.data(), &state.policy, sizeof(Policy));
    for (SequenceIndex c = state.first_child; c != kNoIndex; c = sequences[c].next_sibling)
      e.children.push_back(c.value);
    for (PageIndex page = pool.tail(i); page != kNoIndex; page = pool[page].next) e.tails.push_back(page.value);
    return e;
  }

  /// Gives `table` a cell in use for every entry: a snapshot has them numbered without gaps.
  template <class T, class I>
  static void rebuild(IndexedPool<T, I>& table, std::size_t n_entries) {
    std::vector<I> used;
    for (std::size_t i = 0; i < n_entries; ++i) used.push_back(I(static_cast<std::int32_t>(i)));
    table.rebuild(static_cast<std::int32_t>(n_entries), used);
  }
  static void restore_segments(const Snapshot& s, Tables& history) {
    rebuild(history.segments_, s.segments.size());
    for (const auto& e : s.segments) {
      Segment& g = history.segment(SegmentIndex(e.index));
      g.runs.assign(e.runs.begin(), e.runs.end());
      g.ordinal = e.ordinal;
      g.first = e.first;
      g.length = g.committed = e.length;
      g.refs = e.refs;
      g.writer = SequenceIndex(e.writer);
    }
  }
  static void restore_nodes(const Snapshot& s, Tables& history) {
    rebuild(history.nodes_, s.nodes.size());
    for (const auto& e : s.nodes) {
      HistoryNode& n = history.node(NodeIndex(e.index));
      n.ordinal = e.ordinal;
      n.rule = e.rule;
      n.parent = NodeIndex(e.parent);
      n.segment = SegmentIndex(e.segment);
      n.end = e.end;
      n.n_tokens = e.n_tokens;
      n.next_before = e.next_before;
      n.refs = e.refs;
      history.link(NodeIndex(e.index));
    }
  }
  static void restore_sequences(const Snapshot& s, Sequences& sequences) {
    std::vector<SequenceIndex> used;
    for (const auto& e : s.sequences)
      if (e.alive) used.push_back(SequenceIndex(e.index));
    sequences.records_.rebuild(static_cast<std::int32_t>(s.sequences.size()), used);
    sequences.n_alive_ = static_cast<std::int32_t>(used.size());
    for (const auto& e : s.sequences) {
      const SequenceIndex i(e.index);
      sequences.records_[i].generation = e.generation;
      if (e.alive) restore_state(e, sequences[i]);
    }
    for (const auto& e : s.sequences)
      for (const std::int32_t child : e.children) sequences.link_child(SequenceIndex(e.index), SequenceIndex(child));
  }
  static void restore_state(const Snapshot::SequenceEntry& e, SequenceState<Policy>& state) {
    if (e.policy.size() != sizeof(Policy))
      fail(Status::bad_snapshot, "sequence ", e.index, " was saved with another kind of position policy, of ",
           e.policy.size(), " bytes; this cache's has ", sizeof(Policy));
    std::memcpy(&state.policy, e.policy.data(), sizeof(Policy));
    if (e.parent != kNone) check_policy(e, state.policy);  // a root is never joined: nobody asks its policy
    state.alive = true;
    state.head = NodeIndex(e.head);
    state.open = SegmentIndex(e.open);
    state.next = e.next;
    state.start = e.start;
    state.fork_node = NodeIndex(e.fork_node);
    state.fork_tokens = e.fork_tokens;
    state.limit = e.limit;
    state.hold = e.hold;
    state.reserved_ordinal = e.reserved_ordinal;
    state.has_rejected = e.has_rejected;
  }
  static void check_policy(const Snapshot::SequenceEntry& e, const Policy& policy) {
    if (!policy.valid()) fail(Status::bad_snapshot, "sequence ", e.index, " has ", impl::text_of(policy));
    if constexpr (std::is_same_v<Policy, Positions>)
      if (e.limit > policy.end(e.start, 0))
        fail(Status::bad_snapshot, "sequence ", e.index, " with limit ", e.limit, "; its positions end at ",
             policy.end(e.start, 0));
  }
  static void restore_pages(const Snapshot& s, Pool& pool) {
    pool.reserve_writers(static_cast<std::int32_t>(s.sequences.size()));
    pool.first_free_ = kNoIndex;
    pool.n_free_ = 0;
    for (std::size_t i = s.pages.size(); i-- > 0;) {
      const Snapshot::PageEntry& entry = s.pages[i];
      const PageIndex page(static_cast<std::int32_t>(i));
      pool.pages_[page] = Page{};
      pool.pages_[page].used = entry.used;
      pool.pages_[page].fill = entry.fill;
      if (entry.writer == kNone) pool.free_if_empty(page);
    }
    for (const auto& e : s.sequences)
      for (std::size_t t = e.tails.size(); t-- > 0;) pool.link(PageIndex(e.tails[t]), SequenceIndex(e.index));
  }
};

}  // namespace anabranch
