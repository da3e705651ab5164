// A step plan written by hand, for tests of hosts that must not depend on the cache; and how tests look at errors.
#pragma once

#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch::test {

/// Owns the arrays of one plan. Every run becomes a view of its own segment.
class HandPlan {
 public:
  explicit HandPlan(std::int32_t n_slots) : n_slots_(n_slots) {}

  HandPlan& row(TokenId token, Position position, Slot slot) {
    tokens_.push_back(token);
    positions_.push_back(position);
    slots_.push_back(slot);
    sequences_.push_back(SequenceId{0, 1});
    return *this;
  }

  /// Rows [row_begin, row_end) see `runs` of {first slot, count}.
  HandPlan& group(RowIndex row_begin, RowIndex row_end, const std::vector<SlotRun>& runs, Visibility visibility) {
    VisibilityGroup g{row_begin, row_end, static_cast<std::int32_t>(runs_.size()), 0, 0, visibility};
    for (const SlotRun& run : runs) {
      runs_.push_back({run.first, run.count, 0});
      g.n_keys += run.count;
    }
    g.view_end = static_cast<std::int32_t>(runs_.size());
    groups_.push_back(g);
    return *this;
  }

  HandPlan& output(RowIndex row) {
    outputs_.push_back({row, SequenceId{0, 1}});
    return *this;
  }

  /// Borrowed: valid while this object lives and is not changed.
  StepPlan plan() {
    views_.clear();
    for (std::size_t i = 0; i < runs_.size(); ++i) views_.push_back({&runs_[i], 1, 0, runs_[i].count, 0, i + 1});
    StepPlan plan;
    plan.tokens = tokens_;
    plan.positions = positions_;
    plan.slots = slots_;
    plan.sequences = sequences_;
    plan.outputs = outputs_;
    plan.groups = groups_;
    plan.views = views_;
    plan.n_slots = n_slots_;
    plan.page_size = 1;
    return plan;
  }

 private:
  std::int32_t n_slots_;
  std::vector<TokenId> tokens_;
  std::vector<Position> positions_;
  std::vector<Slot> slots_;
  std::vector<SequenceId> sequences_;
  std::vector<Output> outputs_;
  std::vector<SlotRun> runs_;
  std::vector<VisibilityGroup> groups_;
  std::vector<View> views_;
};

/// Rows of `tokens` after `n_past` tokens of one serial sequence, token i of the sequence in slot i; the last row is an
/// output.
inline HandPlan serial_plan(const std::vector<TokenId>& tokens, std::int32_t n_past, std::int32_t n_slots) {
  HandPlan plan(n_slots);
  const auto n = static_cast<std::int32_t>(tokens.size());
  for (std::int32_t i = 0; i < n; ++i) plan.row(tokens[static_cast<std::size_t>(i)], n_past + i, n_past + i);
  plan.group(0, n, {{0, n_past + n}}, Visibility::causal);
  return plan.output(n - 1);
}

/// The error that a call throws; Status::ok and no text when it throws none.
template <class F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return {Status::ok, ""};
}

template <class F>
Status status_of(F&& call) {
  return error_of(call).status();
}

template <class F>
std::string text_of(F&& call) {
  return error_of(call).what();
}

}  // namespace anabranch::test
