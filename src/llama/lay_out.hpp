// One plan into waves: the operations in their order, and before each the rows that come before it.
//
// A row says only who brought it, so whether it comes before or after an operation is found by what it sees: it is
// placed when its line's sequence holds exactly the tokens that the row sees. Where no moment is like that, llama.cpp
// would show the row something else, and the plan is refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

#include "sequences.hpp"

namespace anabranch::llama {

class LayOut {
 public:
  LayOut(Sequences& books, const StepPlan& plan) : books_(books), plan_(plan) {}
  void run();

 private:
  using Line = Sequences::Line;
  using Entry = Sequences::Entry;

  void read_pasts();
  void sort_rows();
  void share(const SequenceOp& op);
  void fork(const SequenceOp& op, const Line& source);
  void join(const SequenceOp& op, Line& parent, const Line& branch);
  void restart(const SequenceOp& op);
  void become(const SequenceOp& op);
  /// Places the line's rows that see what its sequence holds, as long as their position is below `end`.
  void place_rows(LineId line, Position end);
  bool fits(RowIndex row, const Line* line);
  void place(RowIndex row, std::int32_t sequence);
  void raise(std::int32_t sequence, std::int32_t wave);
  void copy(std::int32_t from, std::int32_t to, Position begin, Position end);
  Wave& wave(std::int32_t index);
  [[noreturn]] void refuse_row(RowIndex row);

  Sequences& books_;
  const StepPlan& plan_;
  std::vector<SlotSet> past_;      // [n_rows]: what the row sees beside itself
  std::vector<char> placed_;       // [n_rows]
  std::vector<RowIndex> by_line_;  // rows by line, in the plan's order
};

}  // namespace anabranch::llama
