// The launches, one file per element so that nvcc compiles them side by side.
#pragma once

#include <cuda_runtime_api.h>

#include "calls.hpp"

namespace anabranch::cuda {

/// Enqueue one kernel each; the runtime's verdict on the launch.
cudaError_t launch_partial_float16(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                                   cudaStream_t stream);
cudaError_t launch_partial_bfloat16(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                                    cudaStream_t stream);
cudaError_t launch_merge(const MergeCall& call, const PlanSizes& bucket, cudaStream_t stream);

}  // namespace anabranch::cuda
