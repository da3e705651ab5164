#include "partial_kernel.cuh"

namespace anabranch::cuda {

cudaError_t launch_partial_float16(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                                   cudaStream_t stream) {
  return launch_partial<Float16>(call, kind, bucket, stream);
}

}  // namespace anabranch::cuda
