// Model: the one thing that the decoder needs of a model: it takes a plan and returns logits.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/float16.hpp>
#include <anabranch/markup/text.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch {

/// The type of a logit. Whatever it is, it is float32 by the time that a hook or a sampler sees it.
enum class LogitType : std::uint8_t { float32, bfloat16, float16 };

/// Logits, row-major [n_outputs, vocabulary], in the order of `StepPlan::outputs`. Borrowed.
struct LogitsView {
  LogitsView() = default;
  LogitsView(const float* floats, std::int32_t n, std::int32_t width, std::int64_t stride = 0) noexcept
      : LogitsView(LogitType::float32, floats, n, width, stride) {}
  /// Of any type; `numbers` points to the first one's bits.
  LogitsView(LogitType logit, const void* numbers, std::int32_t n, std::int32_t width, std::int64_t stride = 0) noexcept
      : values(numbers), n_outputs(n), vocabulary(width), row_stride(stride), type(logit) {}

  /// Throws bad_logits when they are no float32.
  std::span<const float> row(std::int32_t i) const {
    if (type != LogitType::float32) fail(Status::bad_logits, "these logits are no float32; convert each row");
    const float* const first = static_cast<const float*>(values) + offset(i);
    return {first, first + vocabulary};
  }
  /// The same for any type; a row of another one is converted into `converted`.
  std::span<const float> row(std::int32_t i, std::vector<float>& converted) const {
    if (type == LogitType::float32) return row(i);
    const std::uint16_t* const first = static_cast<const std::uint16_t*>(values) + offset(i);
    converted.resize(static_cast<std::size_t>(vocabulary));
    if (type == LogitType::float16)
      std::transform(first, first + vocabulary, converted.begin(), float16_to_float32);
    else
      std::transform(first, first + vocabulary, converted.begin(),
                     [](std::uint16_t bits) { return float_of_bits(std::uint32_t{bits} << 16); });
    return converted;
  }

  const void* values = nullptr;
  std::int32_t n_outputs = 0;
  std::int32_t vocabulary = 0;
  std::int64_t row_stride = 0;  ///< logits from one row to the next; 0: vocabulary
  LogitType type = LogitType::float32;

 private:
  std::ptrdiff_t offset(std::int32_t i) const noexcept { return i * (row_stride != 0 ? row_stride : vocabulary); }
};

/// Anything that runs one forward pass over a plan. May throw; the step is then aborted.
template <class M>
concept Model = requires(M& model, const StepPlan& plan) {
  { model(plan) } -> std::convertible_to<LogitsView>;
};

}  // namespace anabranch
