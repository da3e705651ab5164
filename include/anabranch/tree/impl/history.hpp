// History: bodies.
#pragma once

#include <algorithm>

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
  s.first_node = kNoIndex;
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
  std::int32_t end = s.writer != kNoIndex ? s.length : 0;
  for (NodeIndex n = s.first_node; n != kNoIndex; n = nodes_[n].next_of_segment) end = std::max(end, nodes_[n].end);
  return end;
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
  if (head == kNoIndex || open == kNoIndex) return;
  const Segment& newer = segments_[open];
  Segment& older = segments_[nodes_[head].segment];
  const std::size_t needed = older.runs.size() + newer.runs.size();
  if (newer.first == older.first + nodes_[head].end && needed > older.runs.capacity())
    older.runs.reserve(std::max(needed, 2 * older.runs.capacity()));
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

/// Puts the node in front of the list of nodes that view its segment.
template <PageSizeChoice PageSize>
void History<PageSize>::link(NodeIndex index) noexcept {
  HistoryNode& node = nodes_[index];
  Segment& s = segments_[node.segment];
  node.previous_of_segment = kNoIndex;
  node.next_of_segment = s.first_node;
  if (s.first_node != kNoIndex) nodes_[s.first_node].previous_of_segment = index;
  s.first_node = index;
}

template <PageSizeChoice PageSize>
void History<PageSize>::unlink(NodeIndex index) noexcept {
  HistoryNode& node = nodes_[index];
  NodeIndex& before = node.previous_of_segment != kNoIndex ? nodes_[node.previous_of_segment].next_of_segment
                                                           : segments_[node.segment].first_node;
  before = node.next_of_segment;
  if (node.next_of_segment != kNoIndex) nodes_[node.next_of_segment].previous_of_segment = node.previous_of_segment;
}

}  // namespace anabranch
