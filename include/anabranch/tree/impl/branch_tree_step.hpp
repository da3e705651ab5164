// BranchTree: the log of an open step, its commit and its abort.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

/// Saves what the sequence was before the step, once. The copy keeps its history alive.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::touch(std::int32_t sequence) {
  if (!in_step_ || sequences_[sequence].saved != kNone) return;
  log_.push_back({sequence, false, state(sequence)});
  sequences_[sequence].saved = static_cast<std::int32_t>(log_.size()) - 1;
  history_.retain_node(state(sequence).head);
  history_.retain_segment(state(sequence).open);
}

/// Saves the sequences whose links change when `sequence` leaves its parent.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::touch_siblings(std::int32_t sequence) {
  const State& s = state(sequence);
  for (const std::int32_t other : {s.parent, s.previous_sibling, s.next_sibling})
    if (other != kNone) touch(other);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::touch_subtree(std::int32_t sequence) {
  std::int32_t l = sequence;
  while (true) {  // preorder over the links
    touch(l);
    if (state(l).first_child != kNone) {
      l = state(l).first_child;
      continue;
    }
    while (l != sequence && state(l).next_sibling == kNone) l = state(l).parent;
    if (l == sequence) return;
    l = state(l).next_sibling;
  }
}

/// A fresh sequence, noted in the log when a step is open. Changes nothing when it throws.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::new_sequence() {
  sequences_.reserve(1);
  pool_->reserve_writers(sequences_.size() + 1);
  if (in_step_) log_.push_back({kNone, true, State{}});
  const std::int32_t n_known = sequences_.size();
  const std::int32_t sequence = sequences_.acquire();
  if (sequence == n_known) sequences_[sequence].generation = limits_.first_generation;
  sequences_[sequence].state = State{};
  sequences_[sequence].state.alive = true;
  sequences_[sequence].saved = kNone;
  sequences_[sequence].tail_recipient = kNone;
  if (in_step_) {
    log_.back().sequence = sequence;
    sequences_[sequence].saved = static_cast<std::int32_t>(log_.size()) - 1;
  }
  ++n_alive_;
  return sequence;
}

/// Who gets what a sequence that is gone could still have written: its nearest living ancestor.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::tail_recipient(std::int32_t sequence) const noexcept {
  while (sequence != kNone && !state(sequence).alive) sequence = sequences_[sequence].tail_recipient;
  return sequence;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::free_sequence(std::int32_t sequence) noexcept {
  ++sequences_[sequence].generation;
  sequences_.release(sequence);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::stop_avoiding() noexcept {
  for (const std::int32_t page : staged_.avoided_pages) pool_->set_avoid(page, false);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::prepare_commit() {
  for (const Saved& saved : log_) {
    const State& s = state(saved.sequence);
    if (!s.alive || s.head == kNone || s.open == kNone) continue;
    const Segment& newer = history_.segment(s.open);
    Segment& older = history_.segment(history_.node(s.head).segment);
    const std::size_t needed = older.runs.size() + newer.runs.size();
    if (newer.first == older.first + history_.node(s.head).end && needed > older.runs.capacity())
      older.runs.reserve(std::max(needed, 2 * older.runs.capacity()));
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::commit() noexcept {
  for (const StagedSegment& entry : staged_.segments) history_.release_node(entry.base, tail_recipient(entry.sequence));
  for (const StagedSegment& entry : staged_.segments) {
    const Segment& segment = history_.segment(entry.segment);
    if (segment.refs > 0 && segment.ordinal == entry.ordinal)
      history_.settle(entry.segment, tail_recipient(entry.sequence));
  }
  for (const Saved& saved : log_) {
    const std::int32_t to = tail_recipient(saved.sequence);
    if (saved.before.open != kNone) {
      Segment& segment = history_.segment(saved.before.open);
      if (segment.refs > 1) history_.settle(saved.before.open, to);
      history_.release_segment(saved.before.open, to);
    }
    release_history(saved.before.head, to);
    if (!state(saved.sequence).alive) pool_->hand_over_tails(saved.sequence, to);
  }
  for (const Saved& saved : log_) {
    sequences_[saved.sequence].saved = kNone;
    const std::int32_t to = tail_recipient(saved.sequence);
    if (to != kNone) pool_->trim(to, state(to).hold);
    if (to != saved.sequence) continue;
    release_empty(saved.sequence);
    State& s = at(saved.sequence);
    const std::int32_t head = s.head;
    s.head = history_.coalesce(s.head, s.open, s.next);
    if (s.open != kNone) history_.segment(s.open).writer = saved.sequence;
    if (s.head != head) changed();
  }
  for (const Saved& saved : log_)
    if (!state(saved.sequence).alive) free_sequence(saved.sequence);
  stop_avoiding();
  staged_.clear();
  log_.clear();
  in_step_ = false;
}

/// Releases a saved history; a view that was cut since gives back what is not seen any more.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::release_history(std::int32_t head, std::int32_t to) noexcept {
  while (head != kNone && history_.node(head).refs == 1) {
    const std::int32_t parent = history_.node(head).parent;
    const std::int32_t segment = history_.node(head).segment;
    const bool kept = history_.segment(segment).refs > 1;
    history_.retain_node(parent);
    history_.release_node(head, to);
    if (kept) history_.settle(segment, to);
    head = parent;
  }
  history_.release_node(head, to);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::abort() noexcept {
  for (const StagedSegment& entry : staged_.segments) {  // first, so that new slots are not given back twice
    const Segment& segment = history_.segment(entry.segment);
    if (segment.refs > 0 && segment.ordinal == entry.ordinal) history_.unsettle(entry.segment);
  }
  for (std::size_t i = log_.size(); i-- > 0;) {
    const Saved& saved = log_[i];
    State& s = at(saved.sequence);
    if (s.alive) {
      if (s.open != kNone) history_.segment(s.open).writer = kNone;
      history_.release_segment(s.open, kNone);
      history_.release_node(s.head, kNone);
      --n_alive_;
    }
    s.alive = false;
  }
  for (const StagedSegment& entry : staged_.segments) history_.release_node(entry.base, kNone);
  for (std::size_t i = log_.size(); i-- > 0;) {
    const Saved& saved = log_[i];
    sequences_[saved.sequence].saved = kNone;
    if (saved.created) {
      free_sequence(saved.sequence);
      continue;
    }
    at(saved.sequence) = saved.before;
    if (saved.before.open != kNone) history_.segment(saved.before.open).writer = saved.sequence;
    ++n_alive_;
  }
  changed();
  stop_avoiding();
  staged_.clear();
  log_.clear();
  in_step_ = false;
}

}  // namespace anabranch
