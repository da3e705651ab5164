// Messages of rank 0 to the other ranks: run a pass, forget a runner, stop. As bytes with a version and a checksum.
//
// A plan's bytes hold what this runner reads of it: rows, outputs, groups and views. Sequences and host operations are
// for hosts that keep sequences of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/load_options.hpp>
#include <anabranch/types.hpp>

namespace anabranch::torch {

enum class PassOrder : std::uint8_t { run, forget, stop };

/// A plan that owns its arrays.
struct PlanArrays {
  std::vector<std::int32_t> tokens, positions, slots;  ///< [n_rows]
  std::vector<std::int32_t> outputs;                   ///< rows
  std::vector<std::int32_t> groups;     ///< of each: row_begin, row_end, view_begin, view_end, n_keys, visibility
  std::vector<std::int32_t> views;      ///< of each: n_runs, begin, end, first_position
  std::vector<std::uint64_t> segments;  ///< of each view
  std::vector<SlotRun> runs;            ///< of all views, one behind the other
  std::uint64_t epoch = 0;
  std::int32_t n_slots = 0, page_size = 0;
};

struct PassMessage {
  PassOrder order = PassOrder::stop;
  std::uint32_t runner = 0;  ///< of rank 0's; each has K/V tensors of its own on every rank
  AttentionPath path = AttentionPath::native;
  PlanArrays plan;  ///< of `run`
};

/// O(the plan's arrays).
std::vector<std::byte> to_bytes(const PassMessage& message);
/// Throws bad_snapshot for bytes that are damaged, of another version, or no plan in themselves.
PassMessage pass_message(std::span<const std::byte> bytes);

PlanArrays arrays_of(const StepPlan& plan);

/// A plan over arrays, which must outlive it.
class PlanOverArrays {
 public:
  explicit PlanOverArrays(const PlanArrays& arrays);
  PlanOverArrays(const PlanOverArrays&) = delete;
  PlanOverArrays& operator=(const PlanOverArrays&) = delete;
  const StepPlan& plan() const noexcept { return plan_; }

 private:
  StepPlan plan_;
  std::vector<SequenceId> sequences_;
  std::vector<Output> outputs_;
  std::vector<VisibilityGroup> groups_;
  std::vector<View> views_;
};

}  // namespace anabranch::torch
