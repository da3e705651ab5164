// Model: the one thing that the decoder needs of a model: it takes a plan and returns logits.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include <anabranch/markup/text.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch {

/// Float logits, row-major [n_outputs, vocabulary], in the order of `StepPlan::outputs`. Borrowed.
struct LogitsView {
  const float* values = nullptr;
  std::int32_t n_outputs = 0;
  std::int32_t vocabulary = 0;
  std::span<const float> row(std::int32_t i) const noexcept {
    const float* const first = values + std::ptrdiff_t{i} * vocabulary;
    return {first, first + vocabulary};
  }
};

/// Anything that runs one forward pass over a plan. May throw; the step is then aborted.
template <class M>
concept Model = requires(M& model, const StepPlan& plan) {
  { model(plan) } -> std::convertible_to<LogitsView>;
};

}  // namespace anabranch
