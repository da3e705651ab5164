// The tree of sequences: every operation on it, and how a step ends.
//
// Operations validate, then make room, then change, so that one that fails leaves everything as it was. They touch
// (see tree/undo_log.hpp) each sequence before they change it, and note what a host with a cache of its own has to do.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include <anabranch/pool/memory_vector.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/tree/host_ops.hpp>
#include <anabranch/tree/options.hpp>
#include <anabranch/tree/segment_writer.hpp>
#include <anabranch/tree/sequence_table.hpp>
#include <anabranch/tree/staged.hpp>
#include <anabranch/tree/tree_checks.hpp>
#include <anabranch/tree/undo_log.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
class BranchTree {
 public:
  using State = SequenceState<Policy>;
  BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory);
  BranchTree(const BranchTree&) = delete;
  BranchTree& operator=(const BranchTree&) = delete;

  const SequenceTable<Policy>& sequences() const noexcept { return sequences_; }
  const History<PageSize>& history() const noexcept { return history_; }
  History<PageSize>& history() noexcept { return history_; }
  const Staged<PageSize>& staged() const noexcept { return staged_; }
  const HostOps<>& host_ops() const noexcept { return host_ops_; }
  /// Tokens that the sequence sees.
  std::int32_t n_tokens(SequenceIndex sequence) const noexcept;
  /// Changes when anything but the last runs of sequences changed.
  std::uint64_t epoch() const noexcept { return epoch_; }
  /// Calls visit(sequence) for every sequence that the open step created or changed.
  template <class Visit>
  void for_each_touched(Visit&& visit) const {
    undo_.for_each(visit);
  }

  // Changing; between begin() and commit() or abort(), but for create_sequence, which also works outside. What each
  // call means, and which errors it gives, is said at the step that users hold (cache/step.hpp).
  void begin() noexcept { undo_.begin(); }
  SequenceId create_sequence(Position first);
  void append(SequenceId id, std::span<const TokenId> tokens, std::int32_t n_unknown, Logits logits);
  void request_logits(SequenceId id);
  void fork(SequenceId parent_id, std::span<SequenceId> children, const BasicForkOptions<Policy>& options);
  void join(SequenceId parent_id, std::span<const SequenceId> children, const JoinOptions& options);
  void rewind(SequenceId id, std::int32_t n_keep);
  void adopt(SequenceId parent_id, SequenceId child_id);
  void drop(SequenceId id);
  void detach(SequenceId id);
  void hold(SequenceId id, std::int32_t n_slots);

  /// Lets go of what only rows that nobody sees any more refer to. Part of planning; nothing that an abort needs.
  void forget_unseen() noexcept;
  /// Makes room so that commit() need not allocate. Part of planning.
  void prepare_commit();
  /// Of a planned step: the last `n` of the rows that the sequence writes will not be its own. Allocates nothing.
  void reject(SequenceId id, std::int32_t n);
  void commit() noexcept;
  /// REQUIRES: pages that the plan wrote or handed over are restored by the caller right after.
  void abort() noexcept;

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;

  void reserve_sequences(std::int32_t n);
  SequenceIndex new_sequence();
  void end_sequence(SequenceIndex sequence, SequenceIndex recipient, bool hand_on) noexcept;
  void end_subtree(SequenceIndex top) noexcept;

  void check_sum(SequenceIndex parent, std::span<const SequenceId> children) const;
  void join_one(SequenceIndex parent, SequenceIndex child, const NextRule& outer);
  void collect_views(SequenceIndex child);
  void avoid_last_pages(SequenceIndex sequence, std::int32_t n_keep);

  void reserve_restart(SequenceIndex sequence);
  void restart(SequenceIndex sequence) noexcept {
    if (sequences_[sequence].has_rejected) restart_now(sequence);
  }
  [[gnu::cold]] void restart_now(SequenceIndex sequence) noexcept;  // rare: not to weigh on fork and join
  void tidy(SequenceIndex sequence) noexcept;
  void end_step() noexcept;
  void changed() noexcept { ++epoch_; }

  PagePool<PageSize>* pool_;
  History<PageSize> history_;
  SequenceTable<Policy> sequences_;
  Staged<PageSize> staged_;
  HostOps<> host_ops_;
  UndoLog<Policy, PageSize> undo_;
  SegmentWriter<Policy, PageSize> writer_;
  impl::MemoryVector<PageIndex> avoided_pages_;  // see Page::avoid
  impl::MemoryVector<NodeIndex> views_;          // of collect_views
  impl::MemoryVector<std::uint32_t> sorted_;     // of check_distinct
  std::uint64_t epoch_ = 1;
};

}  // namespace anabranch

#include <anabranch/tree/impl/branch_tree.hpp>
