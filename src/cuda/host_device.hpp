// Unrolled loops in code that both the device and the host run; see also anabranch/host_device.hpp.
#pragma once

#include <anabranch/host_device.hpp>

// Before a loop whose arrays must lie in registers, which cannot be indexed by a variable.
#if defined(__CUDA_ARCH__)
#define ANABRANCH_UNROLL _Pragma("unroll")
#else
#define ANABRANCH_UNROLL
#endif
