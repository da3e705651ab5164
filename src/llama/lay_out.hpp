// One plan into waves: the operations in their order, and before each the rows that come before it.
//
// A row says only who brought it, so whether it comes before or after an operation is found by what it sees: it is
// placed when its line's sequence holds exactly the tokens that the row sees. Where no moment is like that, llama.cpp
// would show the row something else, and the plan is refused.
#pragma once

#include <cstdint>
#include <span>
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

  TokenSet keys_of(const VisibilityGroup& group) const;
  void read_pasts();
  void sort_rows();
  void share(const SequenceOp& op);
  Position taken_back_from(const SequenceOp& op) const;
  Position forked_at(LineId id) const;
  void start(Line& line, std::int32_t from, const SequenceOp& op);
  void join(const SequenceOp& op, Line& parent, const Line& branch);
  void restart(const SequenceOp& op);
  void become(const SequenceOp& op);
  std::span<const RowIndex> rows_of(LineId line) const;
  /// Places the line's rows that see what its sequence holds, as long as their position is below `end`.
  void place_rows(LineId id, Position end);
  void place_the_rest(std::span<const RowIndex> rows);
  bool fits(RowIndex row, const Line& line);
  void place(RowIndex row, Line& line);
  void check_tokens(LineId id);
  void check_rows();
  void check_jump(RowIndex row);
  std::string name_of(RowIndex row) const;
  std::int64_t n_held(const Line& line) const noexcept;
  void add(std::int32_t sequence, std::int32_t at, const Copy& copy);
  Wave& wave(std::int32_t index);

  Sequences& books_;
  const StepPlan& plan_;
  std::vector<TokenSet> past_;  // [n_rows]: what the row sees beside itself
  std::vector<char> placed_;    // [n_rows]
  std::vector<Slot> slots_;
  std::vector<RowIndex> by_line_;  // rows by line, in the plan's order
};

}  // namespace anabranch::llama
