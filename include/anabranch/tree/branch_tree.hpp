// The tree of sequences: every operation on it, and the log that undoes an open step.
//
// Operations validate, then make room, then change, so that one that fails leaves everything as it was. What a sequence
// was before the step is saved at its first change and keeps its history alive until commit: nothing that a committed
// sequence sees is freed, and none of its slots used again, before the step is over.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/tree/host_op.hpp>
#include <anabranch/tree/sequence.hpp>
#include <anabranch/tree/staged.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct TreeLimits {
  std::int32_t max_sequences = 65536;
  std::int32_t max_depth = 64;
  Position max_position = kUnlimited;
  std::uint32_t first_generation = 0;  ///< of ids whose index is used for the first time
};

template <PositionPolicy Policy, PageSizeChoice PageSize>
class BranchTree {
 public:
  using State = SequenceState<Policy>;
  using Steps = Staged<Policy>;
  BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory);

  // Reading. Sequences are given by index; `find` turns an id into one or throws stale_sequence.
  std::int32_t find(SequenceId sequence) const;
  bool alive(SequenceId sequence) const noexcept;
  SequenceId id(std::int32_t sequence) const noexcept;
  const State& state(std::int32_t sequence) const noexcept { return sequences_[sequence].state; }
  std::int32_t n_tokens(std::int32_t sequence) const noexcept;
  std::int32_t n_sequences() const noexcept { return n_alive_; }
  std::uint64_t epoch() const noexcept { return epoch_; }
  /// The sequence above: the parent, or for a sequence that ended in this step, who inherits from it. kNone for a root.
  std::int32_t above(std::int32_t sequence) const noexcept {
    return state(sequence).alive ? state(sequence).parent : sequences_[sequence].tail_recipient;
  }
  const History<PageSize>& history() const noexcept { return history_; }
  History<PageSize>& history() noexcept { return history_; }
  const IndexedPool<SequenceRecord<Policy>>& sequences() const noexcept { return sequences_; }
  /// Throws limit_reached when `n_new` more sequences below `parent` (kNone: roots) are too many or too deep.
  void check_limits(std::int32_t parent, std::int32_t n_new) const;
  const Steps& staged() const noexcept { return staged_; }

  // Changing; between begin() and commit() or abort(), but for create_sequence, which also works outside.
  void begin() noexcept { in_step_ = true; }
  SequenceId create_sequence(Position first);
  void append(SequenceId sequence, std::span<const TokenId> tokens, std::int32_t n_unknown, Logits logits);
  void request_logits(SequenceId sequence);
  void fork(SequenceId parent, std::span<SequenceId> children, const Policy& policy, std::span<const Position> starts);
  void join(SequenceId parent, std::span<const SequenceId> children, Position given_next);
  void rewind(SequenceId sequence, std::int32_t n_tokens);
  void adopt(SequenceId parent, SequenceId child);
  void drop(SequenceId sequence);
  void detach(SequenceId sequence);
  void hold(SequenceId sequence, std::int32_t n_slots);

  /// Of a planned step: the last `n` of the rows that `sequence` writes will not be the sequence's. Allocates nothing.
  void reject(SequenceId sequence, std::int32_t n);

  /// Makes room so that commit() can join neighbouring segments without allocating. Part of planning.
  void prepare_commit();
  void commit() noexcept;
  /// REQUIRES: pages that the plan wrote or handed over are restored by the caller right after.
  void abort() noexcept;
  /// Calls visit(index, state) for every sequence that the open step created or changed.
  template <class Visit>
  void for_each_touched(Visit&& visit) const {
    for (const Saved& saved : log_) visit(saved.sequence, sequences_[saved.sequence].state);
  }

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  struct Saved {
    std::int32_t sequence = kNone;
    bool created = false;
    State before;
  };

  State& at(std::int32_t sequence) noexcept { return sequences_[sequence].state; }
  void touch(std::int32_t sequence);
  void touch_siblings(std::int32_t sequence);
  void touch_subtree(std::int32_t sequence);
  std::int32_t new_sequence();
  std::int32_t depth(std::int32_t sequence) const noexcept;
  void check_child(std::int32_t parent, SequenceId child, const char* call) const;
  void check_distinct(std::span<const SequenceId> sequences, const char* call);
  void check_rewind(std::int32_t sequence, std::int32_t n_tokens) const;

  void set_open(std::int32_t sequence, std::int32_t segment) noexcept;
  void seal(std::int32_t sequence);
  void start_segment(std::int32_t sequence);
  void cut_open(std::int32_t sequence, std::int32_t keep);
  void link_child(std::int32_t parent, std::int32_t child) noexcept;
  void unlink_child(std::int32_t child) noexcept;
  void end_sequence(std::int32_t sequence) noexcept;
  void drop_with_host_op(std::int32_t sequence) noexcept;
  void collect_views(std::int32_t child);
  NextRule join_rule(const State& parent, const State& child) const;
  void join_one(std::int32_t parent, std::int32_t child, const NextRule& outer);
  std::int32_t tail_recipient(std::int32_t sequence) const noexcept;
  void reserve_restart(std::int32_t sequence);
  /// Before anything is done with a sequence: hosts get rid of its rejected rows. REQUIRES: reserve_restart.
  void restart(std::int32_t sequence) noexcept {
    if (state(sequence).has_rejected) restart_now(sequence);
  }
  [[gnu::cold]] void restart_now(std::int32_t sequence) noexcept;  // rare: not to weigh on fork and join
  void avoid_shortened_tails(std::int32_t sequence, std::int32_t n_keep);
  void release_empty(std::int32_t sequence) noexcept;
  void stop_avoiding() noexcept;
  void release_history(std::int32_t head, std::int32_t tail_recipient) noexcept;
  void free_sequence(std::int32_t sequence) noexcept;
  void changed() noexcept { ++epoch_; }

  PagePool<PageSize>* pool_;
  TreeLimits limits_;
  History<PageSize> history_;
  IndexedPool<SequenceRecord<Policy>> sequences_;
  Steps staged_;
  std::pmr::vector<Saved> log_;
  impl::Lazily<std::pmr::vector<std::int32_t>, Policy> scratch_;
  std::int32_t n_alive_ = 0;
  std::uint64_t epoch_ = 1;
  bool in_step_ = false;
};

}  // namespace anabranch

#include <anabranch/tree/impl/branch_tree_change.hpp>
#include <anabranch/tree/impl/branch_tree_join.hpp>
#include <anabranch/tree/impl/branch_tree_release.hpp>
#include <anabranch/tree/impl/branch_tree_sequences.hpp>
#include <anabranch/tree/impl/branch_tree_step.hpp>
