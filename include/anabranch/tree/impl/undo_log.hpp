// UndoLog: bodies.
#pragma once

#include <anabranch/tree/undo_log.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::note_created(SequenceIndex sequence) {
  if (!open_) return;
  const SavedIndex index = saved_.end_index();
  Saved& saved = saved_.add();
  saved.sequence = sequence;
  saved.created = true;
  sequences_->saved(sequence) = index;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::touch(SequenceIndex sequence) {
  if (!open_ || sequences_->saved(sequence) != kNoIndex) return;
  const State& s = (*sequences_)[sequence];
  const SavedIndex index = saved_.end_index();
  Saved& saved = saved_.add();
  saved.sequence = sequence;
  saved.before = s;
  sequences_->saved(sequence) = index;
  history_->retain_node(s.head);
  history_->retain_segment(s.open);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::touch_relatives(SequenceIndex sequence) {
  const State& s = (*sequences_)[sequence];
  for (const SequenceIndex other : {s.parent, s.previous_sibling, s.next_sibling})
    if (other != kNoIndex) touch(other);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::touch_subtree(SequenceIndex top) {
  const SequenceTable<Policy>& table = *sequences_;
  SequenceIndex i = top;
  while (true) {  // a parent before its children, by the links alone
    touch(i);
    if (table[i].first_child != kNoIndex) {
      i = table[i].first_child;
      continue;
    }
    while (i != top && table[i].next_sibling == kNoIndex) i = table[i].parent;
    if (i == top) return;
    i = table[i].next_sibling;
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::release_saved(PagePool<PageSize>& pool) noexcept {
  for (const Saved& saved : saved_) {
    const SequenceIndex to = sequences_->tail_recipient(saved.sequence);
    if (saved.before.open != kNoIndex) {
      if (history_->segment(saved.before.open).refs > 1) history_->settle(saved.before.open, to);
      history_->release_segment(saved.before.open, to);
    }
    history_->release_history(saved.before.head, to);
    if (to != saved.sequence) pool.hand_over_tails(saved.sequence, to);
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::finish_commit() noexcept {
  for (const Saved& saved : saved_) {
    sequences_->saved(saved.sequence) = kNoIndex;
    if (!(*sequences_)[saved.sequence].alive) sequences_->free(saved.sequence);
  }
  close();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::release_current() noexcept {
  for (std::int32_t i = saved_.size(); i-- > 0;) {
    const SequenceIndex sequence = saved_[SavedIndex(i)].sequence;
    const State& s = (*sequences_)[sequence];
    if (!s.alive) continue;
    if (s.open != kNoIndex) history_->segment(s.open).writer = kNoIndex;
    history_->release_segment(s.open, kNoIndex);
    history_->release_node(s.head, kNoIndex);
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void UndoLog<Policy, PageSize>::finish_abort() noexcept {
  for (std::int32_t i = saved_.size(); i-- > 0;) {
    const Saved& saved = saved_[SavedIndex(i)];
    sequences_->saved(saved.sequence) = kNoIndex;
    sequences_->set_state(saved.sequence, saved.before);
    if (saved.created) {
      sequences_->free(saved.sequence);
    } else if (saved.before.open != kNoIndex) {
      history_->segment(saved.before.open).writer = saved.sequence;
    }
  }
  close();
}

}  // namespace anabranch
