// A step plan, checked and cut into the attention calls of one layer. Made once per pass, used by every layer.
//
// Plain C++: nothing here knows LibTorch.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

namespace anabranch::torch {

/// Most rows of one triangle; a longer causal group is cut, so that no mask grows with the square of a prompt.
inline constexpr std::int32_t kMaxTriangle = 256;
/// Single rows over at most this many keys are gathered and run as one batch.
inline constexpr std::int32_t kMaxBatchedKeys = 128;

struct KeyRun {
  Slot first = 0;
  std::int32_t count = 0;
};

/// One attention call: rows [row_begin, row_begin + n_rows) over the keys of `runs`.
struct AttentionCall {
  RowIndex row_begin = 0;
  std::int32_t n_rows = 0;
  std::int32_t n_keys = 0;
  bool triangle = false;       ///< the keys are the rows themselves: row i sees keys 0 .. i
  std::vector<KeyRun> runs;    ///< adjacent runs are one
  std::int32_t batch = kNone;  ///< index into PassLayout::batches, if it runs there
};

/// Calls of one row each that run together, keys padded to the longest.
struct CallBatch {
  std::vector<std::int32_t> calls;
  std::int32_t max_keys = 0;
};

struct PassLayout {
  std::vector<AttentionCall> calls;  ///< for every row in history order
  std::vector<CallBatch> batches;
};

/// Limits of the model.
struct PassLimits {
  std::int32_t vocabulary = 0;
  Position max_positions = 0;
  std::int32_t n_slots = 0;
};

/// Throws bad_argument or out_of_range, naming row, value and limit. O(rows + runs).
void check_plan(const StepPlan& plan, const PassLimits& limits);

/// REQUIRES: a checked plan.
PassLayout make_layout(const StepPlan& plan);

/// Slots of a call's keys, in order.
template <class Out>
void append_slots(const AttentionCall& call, Out& out) {
  for (const KeyRun& run : call.runs)
    for (std::int32_t i = 0; i < run.count; ++i) out.push_back(run.first + i);
}

}  // namespace anabranch::torch
