// The tree of lines: every operation on it, and the log that undoes an open step.
//
// Operations validate, then make room, then change, so that one that fails leaves everything as it was. What a line
// was before the step is saved at its first change and keeps its history alive until commit: nothing that a committed
// line sees is freed, and none of its slots used again, before the step is over.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/tree/history.hpp>
#include <anabranch/tree/line.hpp>
#include <anabranch/tree/sequence_op.hpp>
#include <anabranch/tree/staged.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct TreeLimits {
  std::int32_t max_lines = 65536;
  std::int32_t max_depth = 64;
  Position max_position = kUnlimited;
  std::uint32_t first_generation = 0;  ///< of ids whose index is used for the first time
};

template <PositionPolicy Policy, PageSizeChoice PageSize>
class BranchTree {
 public:
  using State = LineState<Policy>;
  using Steps = Staged<Policy>;
  BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory);

  // Reading. Lines are given by index; `find` turns an id into one or throws stale_line.
  std::int32_t find(LineId line) const;
  bool alive(LineId line) const noexcept;
  LineId id(std::int32_t line) const noexcept;
  const State& state(std::int32_t line) const noexcept { return lines_[line].state; }
  std::int32_t n_tokens(std::int32_t line) const noexcept;
  std::int32_t n_lines() const noexcept { return n_alive_; }
  std::uint64_t epoch() const noexcept { return epoch_; }
  /// The line above: the parent, or for a line that ended in this step, who inherits from it. kNone for a root.
  std::int32_t above(std::int32_t line) const noexcept {
    return state(line).alive ? state(line).parent : lines_[line].heir;
  }
  const History<PageSize>& history() const noexcept { return history_; }
  History<PageSize>& history() noexcept { return history_; }
  const Slab<LineRecord<Policy>>& lines() const noexcept { return lines_; }
  /// Throws limit_reached when `n_new` more lines below `parent` (kNone: roots) are too many or too deep.
  void check_limits(std::int32_t parent, std::int32_t n_new) const;
  const Steps& staged() const noexcept { return staged_; }

  // Changing; between begin() and commit() or abort(), but for create_line, which also works outside.
  void begin() noexcept { in_step_ = true; }
  LineId create_line(Position first);
  void append(LineId line, std::span<const TokenId> tokens, std::int32_t n_unknown, Logits logits);
  void request_logits(LineId line);
  void fork(LineId parent, std::span<LineId> children, const Policy& policy, std::span<const Position> starts);
  void join(LineId parent, std::span<const LineId> children, Position given_next);
  void rewind(LineId line, std::int32_t n_tokens);
  void adopt(LineId parent, LineId child);
  void drop(LineId line);
  void detach(LineId line);
  void hold(LineId line, std::int32_t n_slots);

  /// Of a planned step: the last `n` of the rows that `line` writes will not be the line's. Allocates nothing.
  void leave_out(LineId line, std::int32_t n);

  /// Makes room so that commit() can join neighbouring segments without allocating. Part of planning.
  void prepare_commit();
  void commit() noexcept;
  /// REQUIRES: pages that the plan wrote or handed over are restored by the caller right after.
  void abort() noexcept;
  /// Calls visit(index, state) for every line that the open step created or changed.
  template <class Visit>
  void for_each_touched(Visit&& visit) const {
    for (const Saved& saved : log_) visit(saved.line, lines_[saved.line].state);
  }

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  struct Saved {
    std::int32_t line = kNone;
    bool created = false;
    State before;
  };

  State& at(std::int32_t line) noexcept { return lines_[line].state; }
  void touch(std::int32_t line);
  void touch_siblings(std::int32_t line);
  void touch_subtree(std::int32_t line);
  std::int32_t new_line();
  std::int32_t depth(std::int32_t line) const noexcept;
  void check_child(std::int32_t parent, LineId child, const char* call) const;
  void check_distinct(std::span<const LineId> lines, const char* call);
  void check_rewind(std::int32_t line, std::int32_t n_tokens) const;

  void set_open(std::int32_t line, std::int32_t segment) noexcept;
  void seal(std::int32_t line);
  void start_segment(std::int32_t line);
  void cut_open(std::int32_t line, std::int32_t keep);
  void link_child(std::int32_t parent, std::int32_t child) noexcept;
  void unlink_child(std::int32_t child) noexcept;
  void end_line(std::int32_t line) noexcept;
  void drop_noted(std::int32_t line) noexcept;
  void collect_views(std::int32_t child);
  NextRule join_rule(const State& parent, const State& child) const;
  void join_one(std::int32_t parent, std::int32_t child, const NextRule& outer);
  std::int32_t heir(std::int32_t line) const noexcept;
  void reserve_restart(std::int32_t line);
  /// Before anything is done with a line: hosts get rid of what was left out of it. REQUIRES: reserve_restart.
  void restart(std::int32_t line) noexcept {
    if (state(line).left_out) restart_now(line);
  }
  [[gnu::cold]] void restart_now(std::int32_t line) noexcept;  // rare: not to weigh on fork and join
  void note_given_up(std::int32_t line, std::int32_t n_keep);
  void give_back_empty(std::int32_t line) noexcept;
  void stop_avoiding() noexcept;
  void release_history(std::int32_t head, std::int32_t heir) noexcept;
  void free_line(std::int32_t line) noexcept;
  void changed() noexcept { ++epoch_; }

  PagePool<PageSize>* pool_;
  TreeLimits limits_;
  History<PageSize> history_;
  Slab<LineRecord<Policy>> lines_;
  Steps staged_;
  std::pmr::vector<Saved> log_;
  impl::Lazily<std::pmr::vector<std::int32_t>, Policy> scratch_;
  std::int32_t n_alive_ = 0;
  std::uint64_t epoch_ = 1;
  bool in_step_ = false;
};

}  // namespace anabranch

#include <anabranch/tree/impl/branch_tree_change.hpp>
#include <anabranch/tree/impl/branch_tree_give_up.hpp>
#include <anabranch/tree/impl/branch_tree_join.hpp>
#include <anabranch/tree/impl/branch_tree_lines.hpp>
#include <anabranch/tree/impl/branch_tree_step.hpp>
