// The check of a step plan, and the calls that the LibTorch attention of one layer takes for it.
//
// The calls are made once per pass and serve every layer. Plain C++: nothing here knows LibTorch.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/plan/step_plan.hpp>
#include <anabranch/pool/index.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::torch {

/// Most rows of one call; more rows are cut, so that no mask grows with the square of a prompt.
inline constexpr std::int32_t kMaxCallRows = 256;
/// Single rows over at most this many keys are gathered and run as one batch.
inline constexpr std::int32_t kMaxBatchedKeys = 128;

/// A call of the layout.
using CallIndex = Index<struct AttentionCall>;
/// A batch of calls.
using BatchIndex = Index<struct CallBatch>;

struct KeyRun {
  Slot first = 0;
  std::int32_t count = 0;
};

/// Rows [row_begin, row_begin + n_rows) over the keys of `runs`.
struct AttentionCall {
  RowIndex row_begin = 0;
  std::int32_t n_rows = 0;
  std::int32_t n_keys = 0;
  /// [n_rows]: row i sees keys [starts[i], limits[i]), at least one. Empty starts: from 0 on; empty limits: all see
  /// all.
  std::vector<std::int32_t> starts, limits;
  std::vector<KeyRun> runs;  ///< adjacent runs are one
  BatchIndex batch;          ///< the batch that it runs in, if there is one
};

/// Calls of one row each that run together, their keys padded to the longest.
struct CallBatch {
  std::vector<CallIndex> calls;
  std::int32_t max_keys = 0;
};

struct PassLayout {
  IndexedVector<AttentionCall, CallIndex> calls{std::pmr::new_delete_resource()};  ///< for every row in history order
  IndexedVector<CallBatch, BatchIndex> batches{std::pmr::new_delete_resource()};
};

/// The limits of the model and its K/V tensors.
struct PassLimits {
  std::int32_t vocabulary = 0;
  Position max_positions = 0;
  std::int32_t n_slots = 0;
};

/// Throws bad_argument or out_of_range, naming row, value and limit, for a plan that the runner cannot run. Groups and
/// views are checked by GroupCheck (mask/check_groups.hpp). O(rows + runs).
void check_plan(const StepPlan& plan, const PassLimits& limits);

/// `window`: as in attention::ScoreOptions. REQUIRES: a checked plan.
PassLayout make_layout(const StepPlan& plan, std::int32_t window);

/// Appends the slots of a call's keys, in order.
template <class Out>
void append_slots(const AttentionCall& call, Out& out) {
  for (const KeyRun& run : call.runs)
    for (std::int32_t i = 0; i < run.count; ++i) out.push_back(run.first + i);
}

}  // namespace anabranch::torch
