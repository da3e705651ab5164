// Branch attention on a CUDA device: the contract of anabranch/attention/branch_attention.hpp, for K and V in float16
// or bfloat16 and devices of compute capability 8.0 and later.
//
// There are two kernels: the first computes a partial state for every row and chunk of keys, and reads each chunk of K
// and V once for up to 64 query vectors; the second merges a row's states in history order. All arguments are plain
// pointers to device memory; no CUDA header is included. A row's result does not depend, bit for bit, on the other rows
// of the pass, on the grouping of its keys, on their slots, or on the bucket. Keys and values that a row does not see
// do not reach it, not even NaN and infinity.
#pragma once

#include <cstddef>
#include <cstdint>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/attention/score_options.hpp>
#include <anabranch/cuda/device_plan.hpp>

struct CUstream_st;  // what a cudaStream_t points to

namespace anabranch::cuda {

using attention::Element;
using attention::KvTensors;
using attention::ScoreOptions;

/// The same type as cudaStream_t; null is the default stream.
using Stream = CUstream_st*;

/// The arrays of one call, on the device. Row r's query head h starts at queries + r * query_stride + h * head_dim.
struct Rows {
  const void* queries = nullptr;             ///< after RoPE; 16 bytes aligned
  Element query_element = Element::float32;  ///< float32 (rounded to the element of K and V) or that element
  std::int64_t query_stride = 0;             ///< elements from row to row; a multiple of 8
  void* out = nullptr;                       ///< [n_rows, query_heads * head_dim], rows out_stride apart
  Element out_element = Element::float32;    ///< float32 or the element of K and V
  std::int64_t out_stride = 0;               ///< elements
  float* lse = nullptr;  ///< [n_rows, query_heads]: natural logarithm of the sum of exp(score); null: do not write it
};

/// The caller's memory on the device that a call works with.
struct DeviceMemory {
  void* plan = nullptr;  ///< plan_bytes(bucket), 16 bytes aligned
  void* workspace =
      nullptr;  ///< workspace_bytes(shape, bucket), 16 bytes aligned; in use until the call's work is done
};

/// Number of devices that can run the kernels: 0 without a GPU, without a driver, or with older devices only.
int device_count() noexcept;

class BranchAttention {
 public:
  /// Throws what DevicePlan's constructor throws, bad_argument for options outside their limits, and unsupported for an
  /// element that is neither float16 nor bfloat16. The window is that of the plans that it takes.
  BranchAttention(const HeadShape& shape, Element element, const ScoreOptions& options = {});

  /// Enqueues one copy of the packed plan; call it once per pass. Do not capture it into a graph: a graph reads the
  /// plan that was uploaded before its replay. The plan's bytes may change as soon as this returns. Throws like `run`,
  /// and bad_argument for a plan for other heads or another window.
  void upload(const DevicePlan& plan, void* device_plan, Stream stream) const;

  /// Enqueues both kernels for one layer and an uploaded plan of `bucket`; it may be captured into a graph. Requires:
  /// the rows' own K and V are in the K/V tensors when the kernels run, and the tensors hold every slot of the plan.
  /// Throws bad_argument, and has enqueued nothing, for elements, strides or alignment that the kernels cannot take;
  /// unsupported when no device can run them; internal, with the runtime's text, when a launch is refused.
  void run(const PlanSizes& bucket, const Rows& rows, const KvTensors& kv, const DeviceMemory& memory,
           Stream stream) const;

  const HeadShape& shape() const noexcept { return shape_; }
  Element element() const noexcept { return element_; }

 private:
  HeadShape shape_;
  Element element_;
  ScoreOptions options_;
};

}  // namespace anabranch::cuda
