// All of one forward pass as plain data.
//
// The library never calls a model by itself: a host reads this, runs its model, and commits. Arrays are borrowed from
// the step and valid until commit or abort.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/error.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/tree/host_op.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Logits of `row` are wanted for `sequence`. Several sequences may name one row: a fork without tokens of its own
/// samples from its parent's last row.
struct Output {
  RowIndex row = 0;
  SequenceId sequence;
};

struct StepPlan {
  // One entry per row; [n_rows].
  std::span<const TokenId> tokens;        ///< kUnknownToken where `append_unknown` left it to the host
  std::span<const Position> positions;    ///< what RoPE gets
  std::span<const Slot> slots;            ///< where the row's K and V are written, before any row attends
  std::span<const SequenceId> sequences;  ///< who appended the row; joined, adopted or dropped since, perhaps

  std::span<const Output> outputs;  ///< logits wanted, in the order of rows; logits are [n_outputs, vocabulary]

  std::span<const VisibilityGroup> groups;  ///< for every row, the groups that contain it come in history order
  std::span<const View> views;              ///< what groups index into

  std::span<const HostOp> ops_before;        ///< additive, in order, before the pass
  std::span<const HostOp> ops_after_commit;  ///< removing, in order, once the step is committed

  std::uint64_t epoch = 0;   ///< changes when anything but the sequences' last runs changed
  std::int32_t n_slots = 0;  ///< slots of the whole pool: size of K/V tensors
  std::int32_t page_size = 0;

  std::int32_t n_rows() const noexcept { return static_cast<std::int32_t>(tokens.size()); }
  std::span<const View> views_of(const VisibilityGroup& group) const noexcept {
    return anabranch::views_of(group, views);
  }
};

/// Expected outcome of `Step::plan`: there is no room, and how much is missing.
struct Shortage {
  /// Pages short: with so many more free pages the step can be planned, with one less it cannot. Only where the step
  /// rewinds a sequence, fewer may do.
  std::int32_t n_pages = 0;
  std::int32_t n_free = 0;  ///< pages free now
};

namespace impl {
[[noreturn, gnu::cold, gnu::noinline]] inline void fail_without_plan(const Shortage& shortage) {
  fail(Status::wrong_state, "there is no plan to read: ", shortage.n_pages, " pages are short, ", shortage.n_free,
       " are free; test the result of plan() first");
}
}  // namespace impl

/// A plan, or a shortage. The plan is borrowed from the step.
class [[nodiscard]] PlanResult {
 public:
  explicit PlanResult(const StepPlan& plan) noexcept : plan_(&plan) {}
  explicit PlanResult(Shortage shortage) noexcept : shortage_(shortage) {}
  explicit operator bool() const noexcept { return plan_ != nullptr; }
  /// Throws wrong_state when there is none.
  const StepPlan& operator*() const {
    if (plan_ == nullptr) impl::fail_without_plan(shortage_);
    return *plan_;
  }
  const StepPlan* operator->() const { return &**this; }
  /// Nothing is short where there is a plan.
  Shortage shortage() const noexcept { return shortage_; }

 private:
  const StepPlan* plan_ = nullptr;
  Shortage shortage_;
};

}  // namespace anabranch
