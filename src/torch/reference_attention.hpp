// Attention of one pass by LibTorch alone, to compare the kernels with: piece by piece, or through one dense mask.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <anabranch/attention/score_options.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "pass_layout.hpp"
#include "row_ops.hpp"

namespace anabranch::torch {

/// One pass's attention; `run` is called once per layer.
class ReferenceAttention {
 public:
  virtual ~ReferenceAttention() = default;
  /// queries: [kv_heads, n_rows * share, head_dim], after RoPE. keys, values: [n_slots, kv_heads, head_dim] of one
  /// layer, with the pass's own rows. Result: [n_rows, query_heads * head_dim]. All float32.
  virtual at::Tensor run(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const = 0;
};

/// `path` is not native. REQUIRES: a checked plan with at least one row.
std::unique_ptr<ReferenceAttention> make_reference(AttentionPath path, const StepPlan& plan, const HeadShape& shape,
                                                   const attention::ScoreOptions& options = {});

}  // namespace anabranch::torch
