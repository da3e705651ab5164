// Attention of one pass over the K/V slabs: by visibility group, or through one dense mask.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "pass_layout.hpp"
#include "row_ops.hpp"

namespace anabranch::torch {

/// One pass's attention; `run` is called once per layer.
class PassAttention {
 public:
  virtual ~PassAttention() = default;
  /// queries: [kv_heads, n_rows * share, head_dim], after RoPE. keys, values: one layer's slabs, [n_slots, kv_heads,
  /// head_dim], the pass's own rows written. Result: [n_rows, query_heads * head_dim]. All float32.
  virtual at::Tensor run(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const = 0;
};

/// Additive mask of the largest triangle, [kMaxTriangle * share, kMaxTriangle]: 0 where seen, -inf elsewhere. A smaller
/// triangle is its top left corner.
at::Tensor triangle_mask(std::int32_t share);

/// REQUIRES: a checked plan with at least one row; `triangle` of this shape.
std::unique_ptr<PassAttention> make_attention(AttentionPath path, const StepPlan& plan, const HeadShape& shape,
                                              const at::Tensor& triangle);

}  // namespace anabranch::torch
