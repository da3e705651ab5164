#include <anabranch/cuda/branch_attention.hpp>

#include <string>

#include <anabranch/error.hpp>

#include "calls.hpp"
#include "head_shapes.hpp"
#include "launch.hpp"

namespace anabranch::cuda {
namespace {

void check(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  const bool none =
      result == cudaErrorNoDevice || result == cudaErrorInsufficientDriver || result == cudaErrorNoKernelImageForDevice;
  fail(none ? Status::unsupported : Status::internal, what, ": ", cudaGetErrorString(result));
}

}  // namespace

int device_count() noexcept {
  int n = 0;
  if (cudaGetDeviceCount(&n) != cudaSuccess) return 0;
  int able = 0;
  for (int device = 0; device < n; ++device) {
    int major = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major >= 8) ++able;
  }
  return able;
}

BranchAttention::BranchAttention(const HeadShape& shape, Element element, const ScoreOptions& options)
    : shape_(shape), element_(element), options_(options) {
  check_head_shape(shape);
  if (element != Element::float16 && element != Element::bfloat16)
    fail(Status::unsupported, "K and V of element ", static_cast<int>(element),
         "; the CUDA kernels are for bfloat16 (1) and float16 (2)");
  attention::check_score_options(options);
}

void BranchAttention::upload(const DevicePlan& plan, void* device_plan, Stream stream) const {
  if (plan.shape() != shape_)
    fail(Status::bad_argument, "the plan is for ", plan.shape().query_heads, " / ", plan.shape().kv_heads,
         " heads, the attention for ", shape_.query_heads, " / ", shape_.kv_heads);
  if (plan.window() != options_.window)
    fail(Status::bad_argument, "the plan has a window of ", plan.window(), ", the attention of ", options_.window);
  const auto bytes = plan.bytes();
  check(cudaMemcpyAsync(device_plan, bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream), "upload of a plan");
}

void BranchAttention::run(const PlanSizes& bucket, const Rows& rows, const KvTensors& kv, const DeviceMemory& memory,
                          Stream stream) const {
  const AttentionKind kind{shape_, element_, attention::scale_of(options_, shape_.head_dim), options_.softcap};
  const Calls calls = make_calls(kind, bucket, rows, kv, memory);
  const auto launch = element_ == Element::float16 ? launch_partial_float16 : launch_partial_bfloat16;
  check(launch(calls.partial, kind, bucket, stream), "launch of the partial attention");
  check(launch_merge(calls.merge, bucket, stream), "launch of the merge");
}

}  // namespace anabranch::cuda
