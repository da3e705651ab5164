// The first kernel around its phases, and its launch.
#pragma once

#include <cuda_runtime.h>

#include "head_shapes.hpp"
#include "launch.hpp"
#include "partial.hpp"

namespace anabranch::cuda {

template <class E, int D>
__global__ void __launch_bounds__(PartialShape<D>::kThreads, PartialShape<D>::kBlocks)
    partial_kernel(const PartialCall call) {
  const auto task = static_cast<std::int32_t>(blockIdx.x);
  if (task >= call.plan.counts->n_tasks) return;
  extern __shared__ __align__(16) unsigned char shared_bytes[];
  auto& shared = *reinterpret_cast<PartialShared<D>*>(shared_bytes);
  const PartialBlock<E, D> block{call, shared, call.plan.tasks[task], static_cast<std::int32_t>(blockIdx.y)};
  PartialRegisters<D> registers;
  const Warp<PartialRegisters<D>> warp{static_cast<int>(threadIdx.x) / kLanes, &registers};
  partial_block<E, D>(block, [&](auto body) {
    body(warp);
    __syncthreads();
  });
}

template <class E>
cudaError_t launch_partial(const PartialCall& call, const AttentionKind& kind, const PlanSizes& bucket,
                           cudaStream_t stream) {
  cudaError_t result = cudaSuccess;
  with_head_dim(kind.shape.head_dim, [&](auto head_dim) {
    constexpr int D = head_dim.value;
    constexpr auto kBytes = static_cast<int>(sizeof(PartialShared<D>));
    const auto kernel = partial_kernel<E, D>;
    if (kBytes > 48 * 1024) {  // more than a kernel gets unasked
      result = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
      if (result != cudaSuccess) return;
    }
    const dim3 grid(static_cast<unsigned>(bucket.n_tasks), static_cast<unsigned>(kind.shape.kv_heads));
    kernel<<<grid, PartialShape<D>::kThreads, kBytes, stream>>>(call);
    result = cudaGetLastError();
  });
  return result;
}

}  // namespace anabranch::cuda
