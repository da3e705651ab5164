#include <anabranch/cuda/branch_attention.hpp>

// Compiled functions of the part: one of the host's, and one that asks the CUDA runtime, which there need not be.
bool use_cuda();
bool use_cuda() {
  const anabranch::cuda::DevicePlan plan({28, 4, 128}, {64, 256, 1024, 1024});
  return plan.n_slots() == 0 && anabranch::cuda::device_count() >= 0;
}
