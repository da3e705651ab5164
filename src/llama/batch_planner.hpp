// Cuts one plan into batches: its operations in their order, and before each of them the rows that come before it.
//
// The plan does not say whether a row comes before or after an operation on its sequence; what the row sees does. A row
// goes into a batch at the moment at which its sequence's seq_id holds exactly the tokens that the row sees. If there
// is no such moment, llama.cpp would show the row other tokens, and the plan is refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

#include "seq_table.hpp"

namespace anabranch::llama {

class BatchPlanner {
 public:
  BatchPlanner(SeqTable& table, const StepPlan& plan) : table_(table), plan_(plan) {}
  /// Fills the table's batches. Throws not_exact or limit_reached, with the table half changed.
  void run();

 private:
  using Sequence = SeqTable::Sequence;
  using Entry = SeqTable::Entry;

  TokenSet keys_of(const VisibilityGroup& group) const;
  void read_pasts();
  void sort_rows();
  void share(const HostOp& op);
  Position taken_back_from(const HostOp& op, SequenceId id) const;
  Position forked_at(SequenceId id) const;
  void start(Sequence& sequence, std::int32_t from, const HostOp& op);
  void join(const HostOp& op, Sequence& parent, const Sequence& branch);
  void restart(const HostOp& op);
  void become(const HostOp& op);
  std::span<const PlanRow> rows_of(SequenceId sequence) const;
  bool read_stays(SequenceId id);
  bool stays(PlanRow row) const { return std::binary_search(stays_.begin(), stays_.end(), plan_.slots[row.offset()]); }
  void place_rows(SequenceId id, Position end, const HostOp& op);
  void place_remaining(std::span<const PlanRow> rows);
  bool fits(PlanRow row, const Sequence& sequence);
  void place(PlanRow row, Sequence& sequence);
  void check_tokens(SequenceId id);
  void check_rows();
  void check_jump(PlanRow row);
  std::string name_of(PlanRow row) const;
  std::int64_t n_held(const Sequence& sequence) const noexcept;
  void add(std::int32_t seq_id, BatchIndex at, const Copy& copy);
  DecodeBatch& batch(BatchIndex index);
  Position position_of(PlanRow row) const noexcept { return plan_.positions[row.offset()]; }
  SequenceId sequence_of(PlanRow row) const noexcept { return plan_.sequences[row.offset()]; }
  TokenSet token_of(PlanRow row) const noexcept { return table_.marks_.at(plan_.slots[row.offset()]); }

  SeqTable& table_;
  const StepPlan& plan_;
  Table<TokenSet, PlanRow> past_;  // [n_rows]: what the row sees beside itself
  Table<char, PlanRow> placed_;    // [n_rows]: whether a batch has the row
  std::vector<Slot> slots_, stays_;
  std::vector<PlanRow> by_sequence_;  // all rows, sorted by sequence, then in the plan's order
};

}  // namespace anabranch::llama
