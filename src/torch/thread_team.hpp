// Lends LibTorch's threads to our kernels.
#pragma once

#include <functional>

#include <anabranch/parallel_for.hpp>

namespace anabranch::torch {

/// A loop over OpenMP's threads, as many as LibTorch uses now (at::get_num_threads). LibTorch's own operations run on
/// the same threads, so that neither pool spins while the other works.
ParallelFor torch_threads();

/// Calls `work` with the loop of a ThreadTeam (anabranch/thread_team.hpp) that OpenMP's threads form for the whole
/// call: its loops start faster than OpenMP's own. LibTorch's operations have one thread while `work` runs. Exceptions
/// of `work` reach the caller.
void with_thread_team(const std::function<void(const ParallelFor&)>& work);

}  // namespace anabranch::torch
