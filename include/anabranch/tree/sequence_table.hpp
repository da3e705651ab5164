// The table of sequences: which ids are alive, and who is whose child.
//
// A cell is used again with the next generation, so that an id of the sequence before is refused. A sequence that ends
// keeps its cell until the step is over; the links of the table lead from it to whoever may write in its place.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include <anabranch/error.hpp>
#include <anabranch/pool/indexed_pool.hpp>
#include <anabranch/pool/page_size.hpp>
#include <anabranch/tree/sequence.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct TreeLimits {
  std::int32_t max_sequences = 65536;
  std::int32_t max_depth = 64;
  Position max_position = kUnlimited;
  std::uint32_t first_generation = 0;  ///< of ids whose cell is used for the first time
};

template <PositionPolicy Policy>
class SequenceTable {
 public:
  using State = SequenceState<Policy>;
  SequenceTable(TreeLimits limits, std::pmr::memory_resource* memory) : limits_(limits), records_(memory) {}

  const TreeLimits& limits() const noexcept { return limits_; }
  std::int32_t n_alive() const noexcept { return n_alive_; }
  /// Cells, those that are free included: every SequenceIndex is below.
  std::int32_t size() const noexcept { return records_.size(); }

  bool alive(SequenceId sequence) const noexcept;
  /// The cell that the id names, or named. REQUIRES: the id came from this table.
  static SequenceIndex cell_of(SequenceId sequence) noexcept {
    return SequenceIndex(static_cast<std::int32_t>(sequence.index));
  }
  /// The cell of a sequence that is alive. Throws stale_sequence.
  SequenceIndex find(SequenceId sequence) const;
  /// kNoSequence for no index.
  SequenceId id(SequenceIndex sequence) const noexcept;
  State& operator[](SequenceIndex sequence) noexcept { return records_[sequence].state; }
  const State& operator[](SequenceIndex sequence) const noexcept { return records_[sequence].state; }

  /// Calls visit(SequenceIndex) for every sequence that is alive. O(cells).
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (SequenceIndex i{0}; i < SequenceIndex(size()); ++i)
      if (records_.in_use(i) && records_[i].state.alive) visit(i);
  }

  /// The sequence above: the parent, or for a sequence that ended in this step, who inherits from it. None for a root.
  SequenceIndex above(SequenceIndex sequence) const noexcept;
  /// Who gets the pages that `sequence` could still have written: itself, or the next above that is alive.
  SequenceIndex tail_recipient(SequenceIndex sequence) const noexcept;
  /// The same, and the next look is O(1), also for those that ended on the way.
  SequenceIndex settle_recipient(SequenceIndex sequence) noexcept;
  /// Whether the sequence is alive, or was joined or adopted in the open step.
  bool goes_on(SequenceIndex sequence) const noexcept {
    return records_[sequence].state.alive || records_[sequence].handed_on;
  }
  /// The entry of the sequence in the log of the open step.
  SavedIndex& saved(SequenceIndex sequence) noexcept { return records_[sequence].saved; }

  /// Throws limit_reached when `n_new` more sequences below `parent` (none: roots) are too many or too deep.
  void check_limits(SequenceIndex parent, std::int32_t n_new) const;
  /// Throws not_a_child when `child` is no open child of `parent`; `call` is the operation, for the text.
  SequenceIndex check_child(SequenceIndex parent, SequenceId child, const char* call) const;

  /// Makes the next `n` calls of `create` free of allocation.
  void reserve(std::int32_t n) { records_.reserve(n); }
  /// A new sequence: alive, a root, without tokens.
  SequenceIndex create();
  /// The sequence leaves its parent and is alive no more; `recipient` gets its tails, and its tokens if they are handed
  /// on. Its cell stays until `free`.
  void end(SequenceIndex sequence, SequenceIndex recipient, bool hand_on) noexcept;
  /// Its cell may be used again, with another generation.
  void free(SequenceIndex sequence) noexcept;
  /// Sets the state to an earlier one, alive or not. The links of relatives are the caller's business.
  void set_state(SequenceIndex sequence, const State& state) noexcept;

  /// Makes `child` the last child of `parent`.
  void link_child(SequenceIndex parent, SequenceIndex child) noexcept;
  void unlink_child(SequenceIndex child) noexcept;

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  std::int32_t depth(SequenceIndex sequence) const noexcept;

  TreeLimits limits_;
  IndexedPool<SequenceRecord<Policy>, SequenceIndex> records_;
  std::int32_t n_alive_ = 0;
};

}  // namespace anabranch

#include <anabranch/tree/impl/sequence_table.hpp>
