// Marks functions that both the device and the host run. Without nvcc they are plain inline functions.
#pragma once

#include <anabranch/version.hpp>

#if defined(__CUDACC__)
#define ANABRANCH_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define ANABRANCH_HOST_DEVICE inline
#endif
