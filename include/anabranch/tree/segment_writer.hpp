// Writing: the segment that is open behind the history of a sequence.
//
// Appends go to the open segment. A fork, a join or a cut of the sequence seals it: it becomes the newest view of the
// history, and the next append opens another. A sequence that has appended nothing since then has none open.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/tree/history.hpp>
#include <anabranch/tree/sequence_table.hpp>
#include <anabranch/tree/staged.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
class SegmentWriter {
 public:
  using State = SequenceState<Policy>;
  SegmentWriter(SequenceTable<Policy>& sequences, History<PageSize>& history, Staged<PageSize>& staged)
      : sequences_(&sequences), history_(&history), staged_(&staged) {}

  /// Makes sure that the sequence has a segment open, and that the open step knows of it. True when it is a new one.
  /// When it throws, nothing that can be seen has changed.
  bool open(SequenceIndex sequence);
  /// Adds `n` tokens to the open segment. REQUIRES: open; Staged::reserve_piece, when this must not throw.
  void append(SequenceIndex sequence, std::span<const TokenId> tokens, std::int32_t n, Logits logits);
  /// Makes the open segment, if any, a view of the history. REQUIRES: History::reserve_nodes, when this must not throw.
  void seal(SequenceIndex sequence) {
    const State& s = (*sequences_)[sequence];
    if (s.open != kNoIndex) cut(sequence, history_->segment(s.open).length);
  }
  /// Makes the first `keep` tokens of the open segment a view of the history; the sequence sees no more of it.
  void cut(SequenceIndex sequence, std::int32_t keep);
  /// Shortens the open segment to `keep` tokens. Those of it that are committed must stay, or the segment is cut.
  void shorten(SequenceIndex sequence, std::int32_t keep);
  /// The tokens of the open step that have slots: only they can be rejected.
  std::int32_t n_rows(SequenceIndex sequence) const noexcept;
  /// The last `n` of the rows will not be the sequence's. REQUIRES: 0 <= n <= n_rows.
  void reject(SequenceIndex sequence, std::int32_t n) noexcept;

  /// Closes what `to` has open, and opens there what `from` has open.
  void move(SequenceIndex from, SequenceIndex to) noexcept;
  /// Closes the open segment without a view of it.
  void close(SequenceIndex sequence) noexcept { set(sequence, kNoIndex); }
  /// Closes the open segment if it has no tokens; its ordinal stays reserved. True when it was closed.
  bool close_if_empty(SequenceIndex sequence) noexcept;
  /// Merges the open segment into the newest view where that is possible; see History::merge_open. True when it was.
  bool merge(SequenceIndex sequence) noexcept;

 private:
  void set(SequenceIndex sequence, SegmentIndex segment) noexcept;

  SequenceTable<Policy>* sequences_;
  History<PageSize>* history_;
  Staged<PageSize>* staged_;
};

}  // namespace anabranch

#include <anabranch/tree/impl/segment_writer.hpp>
