// Reads a step plan the way a host would: which slots does a row attend to?
//
// This is the contract between the planner and every attention kernel, written once in the plainest way; the goldens
// and the model-based test compare what it says with what they know.
#pragma once

#include <cstddef>
#include <vector>

#include <anabranch/anabranch.hpp>

namespace anabranch::test {

/// Slots that `group` offers to `row`, in order. REQUIRES: the group contains the row.
inline void append_visible_slots(const StepPlan& plan, const VisibilityGroup& group, RowIndex row,
                                 std::vector<Slot>& out) {
  std::int32_t left = group.n_keys;
  if (group.visibility == Visibility::causal) left -= group.row_end - 1 - row;
  for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
    for (std::int32_t i = 0; i < count && left > 0; ++i, --left) out.push_back(first + i);
  });
}

/// Every slot that `row` attends to, in history order, its own included.
inline std::vector<Slot> visible_slots(const StepPlan& plan, RowIndex row) {
  std::vector<Slot> out;
  for (const VisibilityGroup& group : plan.groups)
    if (group.row_begin <= row && row < group.row_end) append_visible_slots(plan, group, row, out);
  return out;
}

}  // namespace anabranch::test
