#include "pass_layout.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::torch {
namespace {

std::string outside(const char* what, std::int64_t value, std::int64_t row, const char* limit_name,
                    std::int64_t limit) {
  return std::string(what) + " " + std::to_string(value) + " of row " + std::to_string(row) + " is outside [0, " +
         std::to_string(limit) + "), " + limit_name;
}

void check_rows(const StepPlan& plan, const PassLimits& limits) {
  for (std::size_t r = 0; r < plan.tokens.size(); ++r) {
    const auto row = static_cast<std::int64_t>(r);
    const TokenId token = plan.tokens[r];
    if (token == kUnknownToken)
      fail(Status::bad_argument, "token of row ", row,
           " is unknown: this runner needs every token of a plan, append tokens instead of a count");
    if (token < 0 || token >= limits.vocabulary)
      fail(Status::bad_argument, outside("token", token, row, "the vocabulary", limits.vocabulary));
    if (plan.positions[r] < 0 || plan.positions[r] >= limits.max_positions)
      fail(Status::out_of_range,
           outside("position", plan.positions[r], row, "the model's positions", limits.max_positions));
    if (plan.slots[r] < 0 || plan.slots[r] >= limits.n_slots)
      fail(Status::bad_argument, outside("slot", plan.slots[r], row, "the K/V tensors", limits.n_slots));
  }
}

void check_group(const StepPlan& plan, const VisibilityGroup& group, std::int32_t n_slots) {
  const std::string name =
      "group of rows [" + std::to_string(group.row_begin) + ", " + std::to_string(group.row_end) + ")";
  if (group.row_begin < 0 || group.row_begin > group.row_end || group.row_end > plan.n_rows())
    fail(Status::bad_argument, name, " does not fit a plan of ", plan.n_rows(), " rows");
  std::int64_t n_keys = 0;
  for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
    if (first < 0 || count > n_slots - first)
      fail(Status::bad_argument, name, " sees slots [", first, ", ", std::int64_t{first} + count,
           "), the K/V tensors have ", n_slots);
    n_keys += count;
  });
  if (n_keys != group.n_keys) fail(Status::bad_argument, name, " says ", group.n_keys, " keys and lists ", n_keys);
  if (group.visibility == Visibility::causal && group.n_keys < group.row_end - group.row_begin)
    fail(Status::bad_argument, name, " is causal and has only ", group.n_keys, " keys");
}

/// Keys [begin, end) of a run list.
std::vector<KeyRun> cut(const std::vector<KeyRun>& runs, std::int32_t begin, std::int32_t end) {
  std::vector<KeyRun> out;
  std::int32_t offset = 0;
  for (const KeyRun& run : runs) {
    const std::int32_t from = std::max(begin - offset, 0);
    const std::int32_t to = std::min(end - offset, run.count);
    if (from < to) out.push_back({run.first + from, to - from});
    offset += run.count;
  }
  return out;
}

void add_causal(const VisibilityGroup& group, const std::vector<KeyRun>& runs, PassLayout& layout) {
  const std::int32_t past = group.n_keys - (group.row_end - group.row_begin);
  for (RowIndex begin = group.row_begin; begin < group.row_end; begin += kMaxTriangle) {
    const std::int32_t n = std::min(group.row_end - begin, kMaxTriangle);
    const std::int32_t seen = past + (begin - group.row_begin);
    if (n == 1) {  // a lone row sees its key fully: no triangle needed
      layout.calls.push_back({begin, 1, seen + 1, false, cut(runs, 0, seen + 1)});
      continue;
    }
    if (seen > 0) layout.calls.push_back({begin, n, seen, false, cut(runs, 0, seen)});
    layout.calls.push_back({begin, n, n, true, cut(runs, seen, seen + n)});
  }
}

/// Two classes of length, so that a short call is not padded to a long one's keys.
void make_batches(PassLayout& layout) {
  for (const auto& [low, high] : {std::pair{0, kMaxBatchedKeys / 4}, std::pair{kMaxBatchedKeys / 4, kMaxBatchedKeys}}) {
    CallBatch batch;
    for (std::size_t i = 0; i < layout.calls.size(); ++i) {
      const AttentionCall& call = layout.calls[i];
      if (call.n_rows != 1 || call.n_keys <= low || call.n_keys > high) continue;
      batch.calls.push_back(static_cast<std::int32_t>(i));
      batch.max_keys = std::max(batch.max_keys, call.n_keys);
    }
    if (batch.calls.size() < 2) continue;
    for (const std::int32_t i : batch.calls)
      layout.calls[static_cast<std::size_t>(i)].batch = static_cast<std::int32_t>(layout.batches.size());
    layout.batches.push_back(std::move(batch));
  }
}

}  // namespace

void check_plan(const StepPlan& plan, const PassLimits& limits) {
  check_rows(plan, limits);
  std::vector<char> sees(plan.tokens.size(), 0);
  for (const VisibilityGroup& group : plan.groups) {
    check_group(plan, group, limits.n_slots);
    if (group.n_keys > 0) std::fill(sees.begin() + group.row_begin, sees.begin() + group.row_end, char{1});
  }
  const auto blind = std::find(sees.begin(), sees.end(), char{0});
  if (blind != sees.end()) fail(Status::bad_argument, "row ", blind - sees.begin(), " is in no visibility group");
  for (const Output& output : plan.outputs)
    if (output.row < 0 || output.row >= plan.n_rows())
      fail(Status::bad_argument, "output names row ", output.row, " of a plan of ", plan.n_rows(), " rows");
}

PassLayout make_layout(const StepPlan& plan) {
  PassLayout layout;
  for (const VisibilityGroup& group : plan.groups) {
    if (group.n_keys == 0 || group.row_begin == group.row_end) continue;
    std::vector<KeyRun> runs;
    for_each_run(group, plan.views, [&runs](Slot first, std::int32_t count) {
      if (!runs.empty() && runs.back().first + runs.back().count == first)
        runs.back().count += count;
      else
        runs.push_back({first, count});
    });
    if (group.visibility == Visibility::causal)
      add_causal(group, runs, layout);
    else
      layout.calls.push_back({group.row_begin, group.row_end - group.row_begin, group.n_keys, false, std::move(runs)});
  }
  make_batches(layout);
  return layout;
}

}  // namespace anabranch::torch
