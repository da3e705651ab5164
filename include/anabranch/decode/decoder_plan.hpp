// DecoderPlan: the result of `Decoder::plan`: a pass to run, and how each of its outputs is to be sampled.
#pragma once

#include <span>

#include <anabranch/decode/sampler.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch {

/// False: there is no pass to run. Then `shortage` has the pages that are short; none: nothing is left to do.
class [[nodiscard]] DecoderPlan {
 public:
  DecoderPlan(const StepPlan& plan, std::span<const OutputSettings> settings) : plan_(&plan), settings_(settings) {}
  explicit DecoderPlan(Shortage shortage) : shortage_(shortage) {}
  explicit operator bool() const noexcept { return plan_ != nullptr; }
  /// Throws wrong_state when there is none.
  const StepPlan& operator*() const {
    if (plan_ == nullptr) impl::fail_without_plan(shortage_);
    return *plan_;
  }
  const StepPlan* operator->() const { return &**this; }
  Shortage shortage() const noexcept { return shortage_; }
  /// How each of the pass's outputs is to be sampled, [n_outputs] in their order; for hosts that sample themselves.
  /// Borrowed until commit or abort.
  std::span<const OutputSettings> output_settings() const noexcept { return settings_; }

 private:
  const StepPlan* plan_ = nullptr;
  std::span<const OutputSettings> settings_;
  Shortage shortage_;
};

}  // namespace anabranch
