// LibTorch's threads, lent to our kernels.
#pragma once

#include <functional>

#include <anabranch/parallel_for.hpp>

namespace anabranch::torch {

/// A loop over OpenMP's threads, as many as LibTorch uses now (at::get_num_threads). LibTorch's own operations run on
/// the same threads, so that neither waits spinning while the other works.
ParallelFor torch_threads();

/// Calls `work` with a loop that starts within a fraction of a microsecond: for the whole call OpenMP's threads stand
/// by and wait for the next loop. A pass of a small model is some 200 loops of a few microseconds each, for which
/// OpenMP's own start is too slow. LibTorch's operations have one thread while `work` runs. Exceptions of `work` come
/// through.
void with_thread_team(const std::function<void(const ParallelFor&)>& work);

}  // namespace anabranch::torch
