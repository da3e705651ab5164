#include "thread_team.hpp"

#include <cstdint>

#include <omp.h>

#include <ATen/Parallel.h>

#include <anabranch/thread_team.hpp>

#include "processors.hpp"

namespace anabranch::torch {
namespace {

void run_on_pool(void*, std::int32_t n, ParallelFor::Task task, void* body) {
#pragma omp parallel for schedule(static, 1) num_threads(at::get_num_threads())
  for (std::int32_t i = 0; i < n; ++i) task(body, i);
}

}  // namespace

ParallelFor torch_threads() { return {run_on_pool, nullptr, at::get_num_threads()}; }

RunnerTeam::RunnerTeam(ThreadUse use) noexcept : use_(use) {}
RunnerTeam::~RunnerTeam() = default;

ParallelFor RunnerTeam::loop() {
  const std::int32_t wanted = at::get_num_threads();
  if (wanted == 1 || omp_in_parallel() != 0) return {};
  if (n_threads_ != wanted) {
    n_threads_ = 0;
    team_.reset();
    team_ = std::make_unique<OwnThreadTeam>(wanted, TeamOptions{use_, processor_calls()});
    n_threads_ = wanted;
  }
  return team_->parallel();
}

}  // namespace anabranch::torch
