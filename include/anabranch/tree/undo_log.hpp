// The log of an open step: what every sequence was before its first change.
//
// A saved state keeps a reference to its history, so that nothing which a committed sequence sees is freed, and none of
// its slots used again, before the step is over. A commit releases the saved states; an abort puts them back. Both
// take time by the sequences that the step changed, and allocate nothing.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <vector>

#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/page_pool.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/tree/sequence_table.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
class UndoLog {
 public:
  using State = SequenceState<Policy>;
  UndoLog(SequenceTable<Policy>& sequences, History<PageSize>& history, std::pmr::memory_resource* memory)
      : sequences_(&sequences), history_(&history), saved_(memory) {}

  bool open() const noexcept { return open_; }
  void begin() noexcept { open_ = true; }
  /// Sequences that the step created or changed.
  std::int32_t size() const noexcept { return saved_.size(); }
  /// Calls visit(sequence) for each of them, in the order of their first changes.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Saved& saved : saved_) visit(saved.sequence);
  }

  /// Makes the next `n` calls of `note_created` free of allocation.
  void reserve(std::int32_t n) { saved_.reserve_more(n); }
  /// The sequence is new: an abort frees it. REQUIRES: reserve, when this must not throw.
  void note_created(SequenceIndex sequence);
  /// Saves the sequence's state, unless that was done. To be called before it changes.
  void touch(SequenceIndex sequence);
  /// Touches the sequences whose links change when `sequence` leaves its parent.
  void touch_relatives(SequenceIndex sequence);
  /// Touches the sequence and everything below it.
  void touch_subtree(SequenceIndex sequence);

  /// Commit, first: releases the saved histories. The slots that only they saw go back to the pool.
  void release_saved(PagePool<PageSize>& pool) noexcept;
  /// Commit, last: the cells of sequences that ended are free, and the log is empty.
  void finish_commit() noexcept;
  /// Abort, first: releases the histories that the changed sequences have now.
  void release_current() noexcept;
  /// Abort, last: every sequence is what it was, new ones are gone, and the log is empty.
  void finish_abort() noexcept;

 private:
  struct Saved {
    SequenceIndex sequence;
    bool created = false;
    State before;
  };
  void close() noexcept {
    saved_.clear();
    open_ = false;
  }

  SequenceTable<Policy>* sequences_;
  History<PageSize>* history_;
  IndexedVector<Saved, SavedIndex> saved_;
  bool open_ = false;
};

}  // namespace anabranch

#include <anabranch/tree/impl/undo_log.hpp>
