#include "merge.hpp"

#include <cuda_runtime.h>

#include "launch.hpp"

namespace anabranch::cuda {
namespace {

__global__ void __launch_bounds__(kMergeThreads) merge_kernel(const MergeCall call) {
  merge_phase(call, static_cast<std::int32_t>(blockIdx.x), static_cast<std::int32_t>(blockIdx.y),
              static_cast<int>(threadIdx.x));
}

}  // namespace

cudaError_t launch_merge(const MergeCall& call, const PlanSizes& bucket, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(bucket.n_rows), static_cast<unsigned>(call.query_heads));
  merge_kernel<<<grid, kMergeThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace anabranch::cuda
