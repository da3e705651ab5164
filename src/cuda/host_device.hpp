// Marks functions that both the device and the host run. Without nvcc they are plain inline functions.
#pragma once

#if defined(__CUDACC__)
#define ANABRANCH_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define ANABRANCH_HOST_DEVICE inline
#endif

// Before a loop whose arrays must lie in registers, which cannot be indexed by a variable.
#if defined(__CUDA_ARCH__)
#define ANABRANCH_UNROLL _Pragma("unroll")
#else
#define ANABRANCH_UNROLL
#endif
