// BranchTree: what is taken back: rewind, rows left out, adopt, drop.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_rewind(std::int32_t line, std::int32_t n_keep) const {
  const State& s = state(line);
  std::int32_t least = s.fork_tokens;
  for (std::int32_t c = s.first_child; c != kNone; c = state(c).next_sibling)
    least = std::max(least, state(c).fork_tokens);
  if (n_keep < least || n_keep > n_tokens(line))
    fail(Status::bad_argument, "rewind of line " + std::to_string(line) + " to " + std::to_string(n_keep) +
                                   " tokens; it can keep " + std::to_string(least) + " to " +
                                   std::to_string(n_tokens(line)));
}

/// The pages whose last slots a rewind to `n_keep` tokens gives up.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::note_given_up(std::int32_t line, std::int32_t n_keep) {
  const auto note = [&](const Segment& segment, std::int32_t end) {
    end = std::min(end, segment.committed);
    if (end == 0) return;
    impl::reserve_more(staged_.avoided_pages, 1);
    const SlotRun& run = segment.runs[static_cast<std::size_t>(impl::run_of(segment.runs, end - 1))];
    const std::int32_t page = pool_->page_of(run.first + (end - 1 - run.offset));
    staged_.avoided_pages.push_back(page);
    pool_->set_avoid(page, true);
  };
  const State& s = state(line);
  if (s.open != kNone) note(history_.segment(s.open), history_.segment(s.open).length);
  for (std::int32_t node = s.head; history_.n_tokens(node) > n_keep; node = history_.node(node).parent)
    note(history_.segment(history_.node(node).segment), history_.node(node).end);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::rewind(LineId id, std::int32_t n_keep) {
  const std::int32_t line = find(id);
  check_rewind(line, n_keep);
  if (n_keep == n_tokens(line)) return;
  touch(line);
  history_.reserve_nodes(1);
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, 1);
  note_given_up(line, n_keep);
  if (state(line).open != kNone) {
    const std::int32_t keep = std::max(0, n_keep - history_.n_tokens(state(line).head));
    Segment& open = history_.segment(state(line).open);
    at(line).next = open.first + keep;
    if (keep > 0 && keep >= open.committed) {
      open.length = keep;  // only this step's own tokens go
      staged_.cut(open.staged, keep);
    } else {
      cut_open(line, keep);
    }
  }
  State& s = at(line);
  s.left_out = false;  // gone with the rest
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
    s.head = history_.add_node(old.parent, old.segment, end, old.sequence, old.rule, old.next_before);
    history_.release_node(node, kNone);
    s.next = static_cast<Position>(old.rule(end));
  }
  staged_.ops_before.push_back({SequenceOp::Kind::restart, id, kNoLine, 0, s.next});
  staged_.ops_after.push_back({SequenceOp::Kind::remove, id, kNoLine, s.next, kUnlimited});
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::leave_out(LineId id, std::int32_t n) {
  const std::int32_t line = find(id);
  State& s = at(line);
  const bool writes = s.open != kNone && history_.segment(s.open).staged != kNone;
  const std::int32_t planned = writes ? impl::n_slots(history_.segment(s.open).runs) : 0;
  const std::int32_t n_rows = writes ? planned - history_.segment(s.open).committed : 0;
  if (n < 0 || n > n_rows)
    fail(Status::bad_argument, "leaving out " + std::to_string(n) + " rows of line " + std::to_string(line) +
                                   "; the last " + std::to_string(n_rows) + " of its tokens can be left out");
  if (!writes) return;
  Segment& segment = history_.segment(s.open);
  segment.length = planned - n;
  s.next = segment.first + segment.length;
  s.left_out = n > 0;
}

/// A line that writes a segment without tokens writes none.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::give_back_empty(std::int32_t line) noexcept {
  State& s = at(line);
  if (s.open == kNone || history_.segment(s.open).length > 0) return;
  s.first_sequence = history_.segment(s.open).sequence;
  set_open(line, kNone);
  changed();
}

/// Makes room for `restart`.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::reserve_restart(std::int32_t line) {
  if (!state(line).left_out) return;
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, 1);
}

/// REQUIRES: the line is touched.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::restart_now(std::int32_t line) noexcept {
  State& s = at(line);
  staged_.ops_before.push_back({SequenceOp::Kind::restart, id(line), kNoLine, 0, s.next});
  staged_.ops_after.push_back({SequenceOp::Kind::remove, id(line), kNoLine, s.next, kUnlimited});
  s.left_out = false;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::adopt(LineId parent_id, LineId child_id) {
  const std::int32_t parent = find(parent_id);
  check_child(parent, child_id, "adopt");
  const auto child = static_cast<std::int32_t>(child_id.index);
  touch_subtree(parent);
  impl::reserve_more(staged_.ops_before, 2);
  impl::reserve_more(staged_.ops_after, log_.size() + 2);

  for (std::int32_t c = state(parent).first_child; c != kNone;) {
    const std::int32_t next = state(c).next_sibling;
    if (c != child) drop_noted(c);
    c = next;
  }
  restart(child);
  staged_.ops_before.push_back({SequenceOp::Kind::become, parent_id, child_id, 0, state(child).next});
  staged_.ops_after.push_back({SequenceOp::Kind::remove, parent_id, kNoLine, 0, kUnlimited});

  set_open(parent, kNone);
  history_.retain_node(state(child).head);
  history_.release_node(state(parent).head, kNone);
  State& p = at(parent);
  State& c = at(child);
  p.head = c.head;
  p.next = c.next;
  p.first_sequence = c.first_sequence;
  p.left_out = false;
  const std::int32_t open = c.open;
  c.open = kNone;
  set_open(parent, open);
  if (open != kNone && history_.segment(open).staged != kNone)
    staged_.segments[static_cast<std::size_t>(history_.segment(open).staged)].line = parent;
  unlink_child(child);
  while (state(child).first_child != kNone) {
    const std::int32_t grandchild = state(child).first_child;
    unlink_child(grandchild);
    link_child(parent, grandchild);
  }
  end_line(child);
  lines_[child].heir = parent;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop(LineId id) {
  const std::int32_t line = find(id);
  touch_subtree(line);
  touch_siblings(line);
  impl::reserve_more(staged_.ops_after, log_.size());
  drop_noted(line);
  changed();
}

/// REQUIRES: everything below is touched and ops_after has room.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop_noted(std::int32_t line) noexcept {
  std::int32_t l = line;
  while (true) {  // leaves first, without recursion
    while (state(l).first_child != kNone) l = state(l).first_child;
    const std::int32_t parent = state(l).parent;
    staged_.ops_after.push_back({SequenceOp::Kind::remove, this->id(l), kNoLine, 0, kUnlimited});
    end_line(l);
    if (l == line) return;
    l = parent;
  }
}

}  // namespace anabranch
