// Copies a cache's tables into a snapshot, and back.
#pragma once

#include <cstring>
#include <type_traits>

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
    s.max_sequences = tree.limits_.max_sequences;
    s.max_depth = tree.limits_.max_depth;
    s.max_position = tree.limits_.max_position;
    s.ordinal = tree.history_.ordinal_;
    for (std::int32_t i = 0; i < pool.n_pages(); ++i) s.pages.push_back({pool[i].used, pool[i].fill, pool[i].writer});
    const History<PageSize>& history = tree.history_;
    const Numbers segment = number(history.segments());
    const Numbers node = number(history.nodes());
    for (std::int32_t i = 0; i < history.segments().size(); ++i) {
      if (!history.segments().in_use(i)) continue;
      const Segment& g = history.segment(i);
      s.segments.push_back(
          {segment(i), g.ordinal, g.first, g.length, g.refs, g.writer, {g.runs.begin(), g.runs.end()}});
    }
    for (std::int32_t i = 0; i < history.nodes().size(); ++i) {
      if (!history.nodes().in_use(i)) continue;
      const HistoryNode& n = history.node(i);
      s.nodes.push_back(
          {node(i), n.ordinal, n.rule, node(n.parent), segment(n.segment), n.end, n.n_tokens, n.next_before, n.refs});
    }
    for (std::int32_t i = 0; i < tree.sequences_.size(); ++i) {
      s.sequences.push_back(sequence(tree, pool, i));
      Snapshot::SequenceEntry& l = s.sequences.back();
      l.head = node(l.head);
      l.fork_node = node(l.fork_node);
      l.open = segment(l.open);
    }
    return s;
  }

  /// REQUIRES: `tree` and `pool` are fresh and have the snapshot's sizes; s.check() is empty.
  static void restore(const Snapshot& s, Tree& tree, Pool& pool) {
    tree.history_.ordinal_ = s.ordinal;
    restore_segments(s, tree.history_);
    restore_nodes(s, tree.history_);
    restore_sequences(s, tree);
    restore_pages(s, tree, pool);
  }

 private:
  /// Place of each cell in use among those in use.
  struct Numbers {
    std::vector<std::int32_t> places;
    std::int32_t operator()(std::int32_t index) const {
      return index == kNone ? kNone : places[static_cast<std::size_t>(index)];
    }
  };
  template <class T>
  static Numbers number(const IndexedPool<T>& pool) {
    Numbers result{std::vector<std::int32_t>(static_cast<std::size_t>(pool.size()), kNone)};
    std::int32_t n = 0;
    for (std::int32_t i = 0; i < pool.size(); ++i)
      if (pool.in_use(i)) result.places[static_cast<std::size_t>(i)] = n++;
    return result;
  }

  static Snapshot::SequenceEntry sequence(const Tree& tree, const Pool& pool, std::int32_t i) {
    Snapshot::SequenceEntry l;
    l.index = i;
    l.generation = tree.sequences_[i].generation;
    if (!tree.sequences_.in_use(i)) return l;
    const auto& state = tree.state(i);
    l.alive = true;
    l.parent = state.parent;
    l.head = state.head;
    l.open = state.open;
    l.next = state.next;
    l.start = state.start;
    l.fork_node = state.fork_node;
    l.fork_tokens = state.fork_tokens;
    l.limit = state.limit;
    l.hold = state.hold;
    l.reserved_ordinal = state.reserved_ordinal;
    l.has_rejected = state.has_rejected;
    l.policy.resize(sizeof(Policy));
    std::memcpy(l.policy.data(), &state.policy, sizeof(Policy));
    for (std::int32_t c = state.first_child; c != kNone; c = tree.state(c).next_sibling) l.children.push_back(c);
    for (std::int32_t page = pool.tail(i); page != kNone; page = pool[page].next) l.tails.push_back(page);
    return l;
  }

  template <class Entries>
  static std::vector<std::int32_t> indices(const Entries& entries) {
    std::vector<std::int32_t> result;
    for (const auto& e : entries) result.push_back(e.index);
    return result;
  }
  static void restore_segments(const Snapshot& s, History<PageSize>& history) {
    const std::vector<std::int32_t> used = indices(s.segments);
    history.segments_.rebuild(used.empty() ? 0 : used.back() + 1, used);
    for (const auto& e : s.segments) {
      Segment& g = history.segment(e.index);
      g.runs.assign(e.runs.begin(), e.runs.end());
      g.ordinal = e.ordinal;
      g.first = e.first;
      g.length = g.committed = e.length;
      g.refs = e.refs;
      g.writer = e.writer;
      g.first_node = g.staged = kNone;
    }
  }
  static void restore_nodes(const Snapshot& s, History<PageSize>& history) {
    const std::vector<std::int32_t> used = indices(s.nodes);
    history.nodes_.rebuild(used.empty() ? 0 : used.back() + 1, used);
    for (const auto& e : s.nodes) {
      HistoryNode& n = history.node(e.index);
      n.ordinal = e.ordinal;
      n.rule = e.rule;
      n.parent = e.parent;
      n.segment = e.segment;
      n.end = e.end;
      n.n_tokens = e.n_tokens;
      n.next_before = e.next_before;
      n.refs = e.refs;
      history.link(e.index);
    }
  }
  static void restore_sequences(const Snapshot& s, Tree& tree) {
    std::vector<std::int32_t> used;
    for (const auto& e : s.sequences)
      if (e.alive) used.push_back(e.index);
    tree.sequences_.rebuild(static_cast<std::int32_t>(s.sequences.size()), used);
    tree.n_alive_ = static_cast<std::int32_t>(used.size());
    for (const auto& e : s.sequences) {
      tree.sequences_[e.index].generation = e.generation;
      if (!e.alive) continue;
      if (e.policy.size() != sizeof(Policy))
        fail(Status::bad_snapshot, "sequence ", e.index, " was saved with another kind of position policy");
      auto& state = tree.sequences_[e.index].state;
      std::memcpy(&state.policy, e.policy.data(), sizeof(Policy));
      if (!state.policy.valid())
        fail(Status::bad_snapshot, "sequence ", e.index, " has a position policy that makes no sense");
      state.alive = true;
      state.head = e.head;
      state.open = e.open;
      state.next = e.next;
      state.start = e.start;
      state.fork_node = e.fork_node;
      state.fork_tokens = e.fork_tokens;
      state.limit = e.limit;
      state.hold = e.hold;
      state.reserved_ordinal = e.reserved_ordinal;
      state.has_rejected = e.has_rejected;
    }
    for (const auto& e : s.sequences)
      for (const std::int32_t child : e.children) tree.link_child(e.index, child);
  }
  static void restore_pages(const Snapshot& s, const Tree& tree, Pool& pool) {
    pool.reserve_writers(tree.sequences_.size());
    pool.first_free_ = kNone;
    pool.n_free_ = 0;
    for (std::int32_t i = s.n_pages; i-- > 0;) {
      const auto& e = s.pages[static_cast<std::size_t>(i)];
      pool.at(i) = Page{};
      pool.at(i).used = e.used;
      pool.at(i).fill = e.fill;
      if (e.writer == kNone) pool.free_if_empty(i);
    }
    for (const auto& e : s.sequences)
      for (std::size_t t = e.tails.size(); t-- > 0;) pool.link(e.tails[t], e.index);
  }
};

}  // namespace anabranch
