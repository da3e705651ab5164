// BranchTree: what is taken back: rewind, rows rejected, adopt, drop.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_rewind(std::int32_t sequence, std::int32_t n_keep) const {
  const State& s = state(sequence);
  std::int32_t least = s.fork_tokens;
  for (std::int32_t c = s.first_child; c != kNone; c = state(c).next_sibling)
    least = std::max(least, state(c).fork_tokens);
  if (n_keep < least || n_keep > n_tokens(sequence))
    fail(Status::bad_argument, "rewind of sequence ", sequence, " to ", n_keep, " tokens; it can keep ", least, " to ",
         n_tokens(sequence));
}

/// The pages whose last slots a rewind to `n_keep` tokens gives up.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::avoid_shortened_tails(std::int32_t sequence, std::int32_t n_keep) {
  const auto note = [&](const Segment& segment, std::int32_t end) {
    end = std::min(end, segment.committed);
    if (end == 0) return;
    impl::reserve_more(staged_.avoided_pages, 1);
    const SlotRun& run = segment.runs[static_cast<std::size_t>(impl::run_of(segment.runs, end - 1))];
    const std::int32_t page = pool_->page_of(run.first + (end - 1 - run.offset));
    staged_.avoided_pages.push_back(page);
    pool_->set_avoid(page, true);
  };
  const State& s = state(sequence);
  if (s.open != kNone) note(history_.segment(s.open), history_.segment(s.open).length);
  for (std::int32_t node = s.head; history_.n_tokens(node) > n_keep; node = history_.node(node).parent)
    note(history_.segment(history_.node(node).segment), history_.node(node).end);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::rewind(SequenceId id, std::int32_t n_keep) {
  const std::int32_t sequence = find(id);
  check_rewind(sequence, n_keep);
  if (n_keep == n_tokens(sequence)) return;
  touch(sequence);
  history_.reserve_nodes(1);
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, 1);
  avoid_shortened_tails(sequence, n_keep);
  if (state(sequence).open != kNone) {
    const std::int32_t keep = std::max(0, n_keep - history_.n_tokens(state(sequence).head));
    Segment& open = history_.segment(state(sequence).open);
    at(sequence).next = open.first + keep;
    if (keep > 0 && keep >= open.committed) {
      open.length = keep;  // only this step's own tokens go
      staged_.cut(open.staged, keep);
    } else {
      cut_open(sequence, keep);
    }
  }
  State& s = at(sequence);
  s.has_rejected = false;  // gone with the rest
  std::int32_t node = s.head;
  while (node != kNone && history_.n_tokens(history_.node(node).parent) >= n_keep && history_.n_tokens(node) > n_keep) {
    s.next = history_.node(node).next_before;
    const std::int32_t parent = history_.node(node).parent;
    history_.retain_node(parent);
    history_.release_node(node, kNone);
    s.head = node = parent;
  }
  if (node != kNone && history_.n_tokens(node) > n_keep) {
    const HistoryNode old = history_.node(node);
    const std::int32_t end = old.end - (old.n_tokens - n_keep);
    history_.retain_node(old.parent);
    s.head = history_.add_node(old.parent, old.segment, end, old.ordinal, old.rule, old.next_before);
    history_.release_node(node, kNone);
    s.next = static_cast<Position>(old.rule(end));
  }
  staged_.ops_before.push_back({HostOp::Kind::restart, id, kNoSequence, 0, s.next});
  staged_.ops_after.push_back({HostOp::Kind::remove, id, kNoSequence, s.next, kUnlimited});
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reject(SequenceId id, std::int32_t n) {
  const std::int32_t sequence = find(id);
  State& s = at(sequence);
  const bool writes = s.open != kNone && history_.segment(s.open).staged != kNone;
  const std::int32_t planned = writes ? impl::n_slots(history_.segment(s.open).runs) : 0;
  const std::int32_t n_rows = writes ? planned - history_.segment(s.open).committed : 0;
  if (n < 0 || n > n_rows)
    fail(Status::bad_argument, "rejecting ", n, " rows of sequence ", sequence, "; the last ", n_rows,
         " of its tokens can be rejected");
  if (!writes) return;
  Segment& segment = history_.segment(s.open);
  segment.length = planned - n;
  s.next = segment.first + segment.length;
  s.has_rejected = n > 0;
}

/// A sequence that writes a segment without tokens writes none.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::release_empty(std::int32_t sequence) noexcept {
  State& s = at(sequence);
  if (s.open == kNone || history_.segment(s.open).length > 0) return;
  s.reserved_ordinal = history_.segment(s.open).ordinal;
  set_open(sequence, kNone);
  changed();
}

/// Makes room for `restart`.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reserve_restart(std::int32_t sequence) {
  if (!state(sequence).has_rejected) return;
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, 1);
}

/// REQUIRES: the sequence is touched.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::restart_now(std::int32_t sequence) noexcept {
  State& s = at(sequence);
  staged_.ops_before.push_back({HostOp::Kind::restart, id(sequence), kNoSequence, 0, s.next});
  staged_.ops_after.push_back({HostOp::Kind::remove, id(sequence), kNoSequence, s.next, kUnlimited});
  s.has_rejected = false;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::adopt(SequenceId parent_id, SequenceId child_id) {
  const std::int32_t parent = find(parent_id);
  check_child(parent, child_id, "adopt");
  const auto child = static_cast<std::int32_t>(child_id.index);
  touch_subtree(parent);
  impl::reserve_more(staged_.ops_before, 2);
  impl::reserve_more(staged_.ops_after, log_.size() + 2);

  for (std::int32_t c = state(parent).first_child; c != kNone;) {
    const std::int32_t next = state(c).next_sibling;
    if (c != child) drop_with_host_op(c);
    c = next;
  }
  restart(child);
  staged_.ops_before.push_back({HostOp::Kind::become, parent_id, child_id, 0, state(child).next});
  staged_.ops_after.push_back({HostOp::Kind::remove, parent_id, kNoSequence, 0, kUnlimited});

  set_open(parent, kNone);
  history_.retain_node(state(child).head);
  history_.release_node(state(parent).head, kNone);
  State& p = at(parent);
  State& c = at(child);
  p.head = c.head;
  p.next = c.next;
  p.reserved_ordinal = c.reserved_ordinal;
  p.has_rejected = false;
  const std::int32_t open = c.open;
  c.open = kNone;
  set_open(parent, open);
  if (open != kNone && history_.segment(open).staged != kNone)
    staged_.segments[static_cast<std::size_t>(history_.segment(open).staged)].sequence = parent;
  unlink_child(child);
  while (state(child).first_child != kNone) {
    const std::int32_t grandchild = state(child).first_child;
    unlink_child(grandchild);
    link_child(parent, grandchild);
  }
  end_sequence(child);
  sequences_[child].tail_recipient = parent;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop(SequenceId id) {
  const std::int32_t sequence = find(id);
  touch_subtree(sequence);
  touch_siblings(sequence);
  impl::reserve_more(staged_.ops_after, log_.size());
  drop_with_host_op(sequence);
  changed();
}

/// REQUIRES: everything below is touched and ops_after has room.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop_with_host_op(std::int32_t sequence) noexcept {
  std::int32_t l = sequence;
  while (true) {  // leaves first, without recursion
    while (state(l).first_child != kNone) l = state(l).first_child;
    const std::int32_t parent = state(l).parent;
    staged_.ops_after.push_back({HostOp::Kind::remove, this->id(l), kNoSequence, 0, kUnlimited});
    end_sequence(l);
    if (l == sequence) return;
    l = parent;
  }
}

}  // namespace anabranch
