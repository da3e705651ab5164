// One plan into batches: the operations in their order, and before each the rows that come before it.
//
// A row says only who brought it, so whether it comes before or after an operation is found by what it sees: it is
// placed when its sequence's llama.cpp sequence holds exactly the tokens that the row sees. Where no moment is like
// that, llama.cpp would show the row something else, and the plan is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

#include "seq_table.hpp"

namespace anabranch::llama {

class BatchPlanner {
 public:
  BatchPlanner(SeqTable& books, const StepPlan& plan) : books_(books), plan_(plan) {}
  void run();

 private:
  using Sequence = SeqTable::Sequence;
  using Entry = SeqTable::Entry;

  TokenSet keys_of(const VisibilityGroup& group) const;
  void read_pasts();
  void sort_rows();
  void share(const HostOp& op);
  Position taken_back_from(const HostOp& op) const;
  Position forked_at(SequenceId id) const;
  void start(Sequence& sequence, std::int32_t from, const HostOp& op);
  void join(const HostOp& op, Sequence& parent, const Sequence& branch);
  void restart(const HostOp& op);
  void become(const HostOp& op);
  std::span<const RowIndex> rows_of(SequenceId sequence) const;
  /// Places the sequence's rows that see what its llama.cpp sequence holds, as long as their position is below `end`.
  void place_rows(SequenceId id, Position end);
  void place_the_rest(std::span<const RowIndex> rows);
  bool fits(RowIndex row, const Sequence& sequence);
  void place(RowIndex row, Sequence& sequence);
  void check_tokens(SequenceId id);
  void check_rows();
  void check_jump(RowIndex row);
  std::string name_of(RowIndex row) const;
  std::int64_t n_held(const Sequence& sequence) const noexcept;
  void add(std::int32_t seq_id, std::int32_t at, const Copy& copy);
  DecodeBatch& batch(std::int32_t index);

  SeqTable& books_;
  const StepPlan& plan_;
  std::vector<TokenSet> past_;  // [n_rows]: what the row sees beside itself
  std::vector<char> placed_;    // [n_rows]
  std::vector<Slot> slots_;
  std::vector<RowIndex> by_sequence_;  // rows by sequence, in the plan's order
};

}  // namespace anabranch::llama
