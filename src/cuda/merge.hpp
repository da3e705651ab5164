// Second kernel: a row's partial states become its result.
//
// Block (row, head). A state is a set's largest score m, sum l of 2^(score - m), and values summed with these weights;
// two sets merge as in flash attention (arXiv 2205.14135): both are brought to the larger m and added. Here all states
// of a row are added in history order, so the order never depends on who computed them.
#pragma once

#include <cmath>

#include "calls.hpp"
#include "half.hpp"

namespace anabranch::cuda {

inline constexpr int kMergeThreads = 64;

ANABRANCH_HOST_DEVICE void write_element(void* out, Element element, std::int64_t index, float value) {
  if (element == Element::float32) {
    static_cast<float*>(out)[index] = value;
  } else {
    static_cast<std::uint16_t*>(out)[index] =
        element == Element::bfloat16 ? Bfloat16::narrow(value) : Float16::narrow(value);
  }
}

/// The work of thread t: every kMergeThreads-th element of the head. Threads do not meet: there is one phase.
ANABRANCH_HOST_DEVICE void merge_phase(const MergeCall& call, std::int32_t row, std::int32_t head, int thread) {
  if (row >= call.plan.counts->n_rows) return;
  const std::int32_t begin = call.plan.row_states[row];
  const std::int32_t end = call.plan.row_states[row + 1];
  const auto at = [&](std::int32_t state) { return std::int64_t{state} * call.query_heads + head; };
  float largest = -INFINITY;
  for (std::int32_t s = begin; s < end; ++s) largest = fmaxf(largest, call.extremes[at(s) * 2]);
  const float base = largest == -INFINITY ? 0.0f : largest;
  float sum = 0;
  for (std::int32_t s = begin; s < end; ++s)
    sum = fmaf(exp2f(call.extremes[at(s) * 2] - base), call.extremes[at(s) * 2 + 1], sum);
  for (std::int32_t d = thread; d < call.head_dim; d += kMergeThreads) {
    float value = 0;
    for (std::int32_t s = begin; s < end; ++s)
      value = fmaf(exp2f(call.extremes[at(s) * 2] - base), call.outs[at(s) * call.head_dim + d], value);
    write_element(call.out, call.out_element, row * call.out_stride + std::int64_t{head} * call.head_dim + d,
                  value / sum);
  }
  constexpr float kLn2 = 0.6931471805599453f;
  if (thread == 0 && call.lse != nullptr)
    call.lse[std::int64_t{row} * call.query_heads + head] = (largest + log2f(sum)) * kLn2;
}

}  // namespace anabranch::cuda
