// Threads for the runner's kernels.
#pragma once

#include <cstdint>
#include <memory>

#include <anabranch/parallel_for.hpp>
#include <anabranch/thread_count.hpp>

namespace anabranch {
class OwnThreadTeam;
}  // namespace anabranch

namespace anabranch::torch {

/// A loop over OpenMP's threads, as many as LibTorch uses now (at::get_num_threads). LibTorch's own operations run on
/// the same threads, so that neither pool spins while the other works.
ParallelFor torch_threads();

/// The team of a runner, for passes that run our own kernels alone: its loops start faster than OpenMP's, and it gives
/// way to other programs. Its threads start with the first pass, and sleep between answers.
class RunnerTeam {
 public:
  explicit RunnerTeam(ThreadUse use) noexcept;
  RunnerTeam(const RunnerTeam&) = delete;
  RunnerTeam& operator=(const RunnerTeam&) = delete;
  ~RunnerTeam();

  ThreadUse use() const noexcept { return use_; }
  /// A loop over as many threads as LibTorch uses now; one inside a parallel region of OpenMP's, whose threads have
  /// work of their own. Valid until the next call.
  ParallelFor loop();

 private:
  ThreadUse use_;
  std::int32_t n_threads_ = 0;  ///< of team_
  std::unique_ptr<OwnThreadTeam> team_;
};

}  // namespace anabranch::torch
