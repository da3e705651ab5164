#include "pass_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/mask/pieces.hpp>
#include <anabranch/mask/window_starts.hpp>

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

/// Tokens [begin, end) of the piece as slots.
std::vector<KeyRun> cut(std::span<const SlotRun> runs, std::int32_t begin, std::int32_t end) {
  std::vector<KeyRun> out;
  for (const SlotRun& run : runs) {
    const std::int32_t from = std::max(begin, run.offset), to = std::min(end, run.offset + run.count);
    if (from < to) out.push_back({run.first + (from - run.offset), to - from});
  }
  return out;
}

/// Adds the calls of rows from `row` on that see some of the piece: one over the keys that all of them see, and one
/// over the others. The second one begins a key earlier, so that each of its rows sees a key.
void add_rows(const PieceList& list, const Piece& piece, RowIndex row, std::span<const std::int32_t> limits,
              PassLayout& layout) {
  const auto n = static_cast<std::int32_t>(limits.size());
  const auto [least, most] = std::ranges::minmax(limits);
  const std::int32_t shared_end = least == most ? most : least - 1;
  const auto add = [&](std::int32_t begin, std::int32_t end) -> AttentionCall& {
    return layout.calls.add() = {row, n, end - begin, {}, {}, cut(list.runs(piece), begin, end), kNoIndex};
  };
  if (shared_end > piece.begin) add(piece.begin, shared_end);
  if (least == most) return;
  AttentionCall& call = add(shared_end, most);
  for (const std::int32_t limit : limits) call.limits.push_back(limit - shared_end);
}

/// The same for rows with windows: one call over all keys that some of them see.
void add_window_rows(const PieceList& list, const Piece& piece, RowIndex row, std::span<const std::int32_t> starts,
                     std::span<const std::int32_t> limits, PassLayout& layout) {
  const std::int32_t begin = *std::ranges::min_element(starts), end = *std::ranges::max_element(limits);
  const auto n = static_cast<std::int32_t>(limits.size());
  AttentionCall& call = layout.calls.add();
  call = {row, n, end - begin, {}, {}, cut(list.runs(piece), begin, end), kNoIndex};
  if (n == 1) return;  // it sees all of them
  for (const std::int32_t start : starts) call.starts.push_back(start - begin);
  for (const std::int32_t limit : limits) call.limits.push_back(limit - begin);
}

void add_piece(const PieceList& list, const WindowStarts& windows, const Piece& piece, PassLayout& layout) {
  const std::span<const std::int32_t> limits = list.limits(piece), starts = windows.starts(piece);
  const auto sees = [&](std::size_t i) { return limits[i] > (starts.empty() ? piece.begin : starts[i]); };
  for (std::size_t begin = 0, end = 0; begin < limits.size(); begin = end) {
    while (end < limits.size() && end < begin + kMaxCallRows && sees(end)) ++end;
    const RowIndex row = piece.row_begin + static_cast<RowIndex>(begin);
    if (begin == end)
      ++end;  // a row that sees nothing of the piece
    else if (starts.empty())
      add_rows(list, piece, row, limits.subspan(begin, end - begin), layout);
    else
      add_window_rows(list, piece, row, starts.subspan(begin, end - begin), limits.subspan(begin, end - begin), layout);
  }
}

/// Short and long calls make a batch each, so that a short one is not padded to the keys of a long one.
void make_batches(PassLayout& layout) {
  for (const auto& [low, high] : {std::pair{0, kMaxBatchedKeys / 4}, std::pair{kMaxBatchedKeys / 4, kMaxBatchedKeys}}) {
    CallBatch batch;
    for (CallIndex i(0); i < layout.calls.end_index(); ++i) {
      const AttentionCall& call = layout.calls[i];
      if (call.n_rows != 1 || call.n_keys <= low || call.n_keys > high) continue;
      batch.calls.push_back(i);
      batch.max_keys = std::max(batch.max_keys, call.n_keys);
    }
    if (batch.calls.size() < 2) continue;
    for (const CallIndex i : batch.calls) layout.calls[i].batch = layout.batches.end_index();
    layout.batches.add() = std::move(batch);
  }
}

}  // namespace

void check_plan(const StepPlan& plan, const PassLimits& limits) {
  check_rows(plan, limits);
  GroupCheck()(plan.groups, plan.views, {plan.n_rows(), limits.n_slots});
  for (const Output& output : plan.outputs)
    if (output.row < 0 || output.row >= plan.n_rows())
      fail(Status::bad_argument, "output names row ", output.row, " of a plan of ", plan.n_rows(), " rows");
}

PassLayout make_layout(const StepPlan& plan, std::int32_t window) {
  PieceList list;
  list.build(plan.groups, plan.views, {plan.n_rows()});
  WindowStarts windows;
  windows.build(list, window);
  PassLayout layout;
  for (const Piece& piece : list.pieces()) add_piece(list, windows, piece, layout);
  make_batches(layout);
  return layout;
}

}  // namespace anabranch::torch
