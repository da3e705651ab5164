// Branch attention on a CUDA device: the contract of anabranch/attention/branch_attention.hpp, for K and V in float16
// or bfloat16 and devices of compute capability 8.0 and later.
//
// Two kernels: the first computes a partial state for every (row, chunk of keys), reading each chunk of K and V once
// for up to 64 query vectors; the second merges a row's states in history order. Everything is plain pointers to device
// memory; no CUDA header is included. A row's result does not depend, bit for bit, on the other rows of the pass, on
// the grouping of its keys, on where they lie, or on the bucket. What a row does not see, NaN and infinity included,
// does not reach it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/cuda/device_plan.hpp>

struct CUstream_st;  // what a cudaStream_t points to

namespace anabranch::cuda {

using attention::Element;
using attention::KvTensors;

/// The same type as cudaStream_t; null is the default stream.
using Stream = CUstream_st*;

/// The arrays of one call, on the device. Row r's query head h starts at queries + r * query_stride + h * head_dim.
struct Rows {
  const void* queries = nullptr;             ///< after RoPE; 16 bytes aligned
  Element query_element = Element::float32;  ///< float32 (rounded to the K/V tensors' element) or that element
  std::int64_t query_stride = 0;             ///< elements from row to row; a multiple of 8
  void* out = nullptr;                       ///< [n_rows, query_heads * head_dim], rows out_stride apart
  Element out_element = Element::float32;    ///< float32 or the K/V tensors' element
  std::int64_t out_stride = 0;               ///< elements
  float* lse = nullptr;  ///< [n_rows, query_heads]: natural logarithm of the sum of exp(score); null: not wanted
};

/// Memory on the device that a call works with; the caller's.
struct DeviceMemory {
  void* plan = nullptr;       ///< plan_bytes(bucket), 16 bytes aligned
  void* workspace = nullptr;  ///< workspace_bytes(shape, bucket), 16 bytes aligned; free again after the call's work
};

/// Devices that can run the kernels: 0 without a GPU, without a driver, or with older ones only.
int device_count() noexcept;

class BranchAttention {
 public:
  /// `scale`: factor of the scores; 0 means 1 / sqrt(head_dim). Throws what DevicePlan's constructor throws, and
  /// unsupported for an element that is neither float16 nor bfloat16.
  BranchAttention(const HeadShape& shape, Element element, float scale = 0.0f);

  /// Once per pass: enqueues one copy of the packed plan. Not to be captured: a graph replays with what was uploaded
  /// before it. The plan's bytes may be changed as soon as this returns. Throws like `run`.
  void upload(const DevicePlan& plan, void* device_plan, Stream stream) const;

  /// Once per layer: enqueues both kernels for a plan of `bucket` that was uploaded; may be captured into a graph. The
  /// rows' own K and V must be in the K/V tensors by then; they must hold every slot of the plan. Throws bad_argument,
  /// and has enqueued nothing, for elements, strides or alignment that the kernels cannot take; unsupported when no
  /// device can run them; internal, with the runtime's text, when a launch is refused.
  void run(const PlanSizes& bucket, const Rows& rows, const KvTensors& kv, const DeviceMemory& memory,
           Stream stream) const;

  const HeadShape& shape() const noexcept { return shape_; }
  Element element() const noexcept { return element_; }

 private:
  HeadShape shape_;
  Element element_;
  float scale_;
};

}  // namespace anabranch::cuda
