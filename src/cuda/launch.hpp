// The launches of the kernels, one file per element type so that nvcc compiles them side by side.
#pragma once

#include <cuda_runtime_api.h>

#include "calls.hpp"

namespace anabranch::cuda {

/// Each enqueues one kernel and returns the runtime's error code of the launch.
cudaError_t launch_partial_float16(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                                   cudaStream_t stream);
cudaError_t launch_partial_bfloat16(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                                    cudaStream_t stream);
cudaError_t launch_merge(const MergeCall& call, const PlanSizes& bucket, cudaStream_t stream);

}  // namespace anabranch::cuda
