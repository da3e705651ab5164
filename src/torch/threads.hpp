// LibTorch's threads as a parallel loop for our kernels.
#pragma once

#include <anabranch/parallel_for.hpp>

namespace anabranch::torch {

/// As many workers as LibTorch uses now (at::get_num_threads), from the same OpenMP pool, so that neither waits
/// spinning while the other works.
ParallelFor torch_threads();

}  // namespace anabranch::torch
