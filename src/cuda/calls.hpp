// The arguments of the two kernels, checked: pointers and sizes. The launches use them, and tests that run the kernels
// block by block on the host.
#pragma once

#include <cstdint>

#include <anabranch/cuda/branch_attention.hpp>

#include "plan_layout.hpp"

namespace anabranch::cuda {

/// First kernel: partial states. Grid: bucket.n_tasks x kv_heads.
struct PartialCall {
  PackedPlan plan;
  const void* queries;
  bool float_queries;  ///< else of the element of K and V
  std::int64_t query_stride;
  const std::uint16_t* keys;  ///< element d of head h of slot s at s * slot_stride + h * head_stride + d
  const std::uint16_t* values;
  std::int64_t slot_stride;
  std::int64_t head_stride;
  std::int32_t query_heads;
  std::int32_t share;
  float scale;      ///< of the scores, times log2(e): exponentials are to base 2
  float softcap;    ///< likewise; 0: none
  float* extremes;  ///< [n_states, query_heads, 2]: largest score (base 2), sum of 2^(score - largest)
  float* outs;      ///< [n_states, query_heads, head_dim]: values times 2^(score - largest), summed
};

/// Second kernel: merge. Grid: bucket.n_rows x query_heads.
struct MergeCall {
  PackedPlan plan;
  const float* extremes;
  const float* outs;
  std::int32_t query_heads;
  std::int32_t head_dim;
  void* out;
  Element out_element;
  std::int64_t out_stride;
  float* lse;
};

struct Calls {
  PartialCall partial;
  MergeCall merge;
};

/// Shape, element, and what is done to the scores.
struct AttentionKind {
  HeadShape shape;
  Element element = Element::bfloat16;
  float scale = 0;
  float softcap = 0;  ///< 0: none
};

/// Throws bad_argument, with value and limit, for arguments that the kernels cannot take.
Calls make_calls(const AttentionKind& kind, const PlanSizes& bucket, const Rows& rows, const KvTensors& kv,
                 const DeviceMemory& memory);

}  // namespace anabranch::cuda
