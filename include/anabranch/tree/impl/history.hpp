// History: bodies.
#pragma once

#include <algorithm>
#include <utility>

#include <anabranch/tree/history.hpp>

namespace anabranch {

template <PageSizeChoice PageSize>
NodeIndex History<PageSize>::add_node(NodeIndex parent, SegmentIndex segment, std::int32_t end) {
  const NodeIndex index = nodes_.acquire();
  HistoryNode& node = nodes_[index];
  Segment& s = segments_[segment];
  node.ordinal = s.ordinal;
  node.rule = {kNever, s.first};
  node.parent = parent;
  node.segment = segment;
  node.end = end;
  node.n_tokens = n_tokens(parent) + end;
  node.next_before = s.first;
  node.refs = 1;
  link(index);
  ++s.refs;
  return index;
}

template <PageSizeChoice PageSize>
SegmentIndex History<PageSize>::add_segment(Position first, std::uint64_t ordinal, SequenceIndex writer) {
  const SegmentIndex index = segments_.acquire();
  Segment& s = segments_[index];
  s.runs.clear();
  s.ordinal = ordinal;
  s.first = first;
  s.length = s.committed = 0;
  s.refs = 1;
  s.writer = writer;
  s.top_node = kNoIndex;
  s.staged = kNoIndex;
  return index;
}

template <PageSizeChoice PageSize>
void History<PageSize>::release_node(NodeIndex index, SequenceIndex tail_recipient) noexcept {
  while (index != kNoIndex && --nodes_[index].refs == 0) {
    unlink(index);
    release_segment(nodes_[index].segment, tail_recipient);
    nodes_.release(index);
    index = nodes_[index].parent;
  }
}

template <PageSizeChoice PageSize>
void History<PageSize>::release_segment(SegmentIndex index, SequenceIndex tail_recipient) noexcept {
  if (index == kNoIndex) return;
  Segment& s = segments_[index];
  if (--s.refs > 0) return;
  cut_slots(s, 0, tail_recipient);
  s.ordinal = 0;
  segments_.release(index);
}

template <PageSizeChoice PageSize>
void History<PageSize>::release_history(NodeIndex head, SequenceIndex tail_recipient) noexcept {
  while (head != kNoIndex && nodes_[head].refs == 1) {
    const NodeIndex parent = nodes_[head].parent;
    const SegmentIndex segment = nodes_[head].segment;
    const bool kept = segments_[segment].refs > 1;
    retain_node(parent);
    release_node(head, tail_recipient);
    if (kept) settle(segment, tail_recipient);
    head = parent;
  }
  release_node(head, tail_recipient);
}

template <PageSizeChoice PageSize>
NodeIndex History<PageSize>::cut(NodeIndex head, std::int32_t n_keep, Position& next) {
  while (n_tokens(head) > n_keep) {
    const NodeIndex longer = head;
    head = nodes_[longer].parent;
    next = nodes_[longer].next_before;
    retain_node(head);
    if (const std::int32_t end = n_keep - n_tokens(head); end > 0) {
      head = add_node(head, nodes_[longer].segment, end);
      HistoryNode& shorter = nodes_[head];
      shorter.ordinal = nodes_[longer].ordinal;
      shorter.rule = nodes_[longer].rule;
      shorter.next_before = next;
      next = shorter.rule.at(end);
    }
    release_node(longer, kNoIndex);
  }
  return head;
}

template <PageSizeChoice PageSize>
std::int32_t History<PageSize>::seen(const Segment& s) const noexcept {
  const std::int32_t written = s.writer != kNoIndex ? s.length : 0;
  return s.top_node == kNoIndex ? written : std::max(written, nodes_[s.top_node].end);
}

template <PageSizeChoice PageSize>
void History<PageSize>::settle(SegmentIndex index, SequenceIndex tail_recipient) noexcept {
  Segment& s = segments_[index];
  s.length = s.committed = std::min(s.length, seen(s));
  s.staged = kNoIndex;
  cut_slots(s, s.length, tail_recipient);
}

template <PageSizeChoice PageSize>
void History<PageSize>::unsettle(SegmentIndex index) noexcept {
  Segment& s = segments_[index];
  s.length = s.committed;
  s.staged = kNoIndex;
  s.forget_slots(s.committed);
}

template <PageSizeChoice PageSize>
void History<PageSize>::reserve_merge(NodeIndex head, SegmentIndex open) {
  if (head == kNoIndex) return;
  if (open == kNoIndex) {
    open = nodes_[head].segment;
    head = nodes_[head].parent;
  }
  std::size_t needed = segments_[open].runs.size();
  Position first = segments_[open].first;
  for (int level = 0; head != kNoIndex && level < kMostMerged; ++level) {
    const HistoryNode& node = nodes_[head];
    Segment& older = segments_[node.segment];
    if (first != older.first + node.end) return;
    needed += older.runs.size();
    if (needed > older.runs.capacity()) {
      older.runs.reserve(std::max(needed, 2 * older.runs.capacity()));
      ++n_moves_;
    }
    first = older.first;
    head = node.parent;
  }
}

template <PageSizeChoice PageSize>
bool History<PageSize>::can_merge(const HistoryNode& node, SegmentIndex open, Position next) const noexcept {
  const Segment& older = segments_[node.segment];
  const bool whole =
      older.refs == 1 && node.end == older.length && node.rule.shift == older.first && node.rule.floor <= older.first;
  const Position end = older.first + older.length;
  if (open == kNoIndex) return whole && next == end;
  const Segment& newer = segments_[open];
  return whole && newer.refs == 1 && newer.first == end &&
         older.runs.capacity() >= older.runs.size() + newer.runs.size();
}

template <PageSizeChoice PageSize>
NodeIndex History<PageSize>::merge_open(NodeIndex head, SegmentIndex& open, Position next) noexcept {
  while (head != kNoIndex && nodes_[head].refs == 1 && can_merge(nodes_[head], open, next)) {
    const HistoryNode& node = nodes_[head];
    if (open != kNoIndex) move_runs(open, segments_[node.segment]);
    open = node.segment;  // the node's reference becomes the sequence's
    unlink(head);
    nodes_.release(head);
    head = node.parent;
  }
  return head;
}

/// Frees the segment `from`, whose tokens become the last ones of `to`.
template <PageSizeChoice PageSize>
void History<PageSize>::move_runs(SegmentIndex index, Segment& to) noexcept {
  Segment& from = segments_[index];
  for (const SlotRun& run : from.runs) to.add_slots(run.first, run.count);
  from.runs.clear();
  to.length += from.length;
  to.committed = to.length;
  from.writer = kNoIndex;
  from.refs = 0;
  from.ordinal = 0;
  segments_.release(index);
}

/// Gives back the slots past the first `n` tokens.
template <PageSizeChoice PageSize>
void History<PageSize>::cut_slots(Segment& s, std::int32_t n, SequenceIndex tail_recipient) noexcept {
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

/// Puts the node into the heap of its segment.
template <PageSizeChoice PageSize>
void History<PageSize>::link(NodeIndex index) noexcept {
  HistoryNode& node = nodes_[index];
  node.heap_child = node.heap_next = node.heap_previous = kNoIndex;
  Segment& s = segments_[node.segment];
  s.top_node = meld(s.top_node, index);
}

template <PageSizeChoice PageSize>
void History<PageSize>::unlink(NodeIndex index) noexcept {
  HistoryNode& node = nodes_[index];
  Segment& s = segments_[node.segment];
  const NodeIndex below = meld_children(node.heap_child);
  if (s.top_node == index) {
    s.top_node = below;
    return;
  }
  HistoryNode& before = nodes_[node.heap_previous];
  (before.heap_child == index ? before.heap_child : before.heap_next) = node.heap_next;
  if (node.heap_next != kNoIndex) nodes_[node.heap_next].heap_previous = node.heap_previous;
  s.top_node = meld(s.top_node, below);
}

/// Makes one heap of two, either of which may be none. Their tops have neither siblings nor parents.
template <PageSizeChoice PageSize>
NodeIndex History<PageSize>::meld(NodeIndex a, NodeIndex b) noexcept {
  if (a == kNoIndex || b == kNoIndex) return a == kNoIndex ? b : a;
  if (nodes_[a].end < nodes_[b].end) std::swap(a, b);
  HistoryNode& top = nodes_[a];
  nodes_[b].heap_previous = a;
  nodes_[b].heap_next = top.heap_child;
  if (top.heap_child != kNoIndex) nodes_[top.heap_child].heap_previous = b;
  top.heap_child = b;
  return a;
}

/// Makes one heap of a list of siblings that has lost its parent: pair by pair, then all pairs from the last on.
template <PageSizeChoice PageSize>
NodeIndex History<PageSize>::meld_children(NodeIndex first) noexcept {
  const auto alone = [this](NodeIndex index) {
    nodes_[index].heap_next = nodes_[index].heap_previous = kNoIndex;
    return index;
  };
  NodeIndex pairs;  // melded, the last one first, linked by heap_next
  while (first != kNoIndex) {
    const NodeIndex a = first;
    const NodeIndex b = nodes_[a].heap_next;
    first = b == kNoIndex ? b : nodes_[b].heap_next;
    const NodeIndex pair = b == kNoIndex ? alone(a) : meld(alone(a), alone(b));
    nodes_[pair].heap_next = pairs;
    pairs = pair;
  }
  NodeIndex heap;
  while (pairs != kNoIndex) {
    const NodeIndex next = nodes_[pairs].heap_next;
    heap = meld(heap, alone(pairs));
    pairs = next;
  }
  return heap;
}

}  // namespace anabranch
