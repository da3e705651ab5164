#include "thread_team.hpp"

#include <cstdint>
#include <exception>
#include <optional>

#include <omp.h>

#include <ATen/Parallel.h>

#include <anabranch/thread_team.hpp>

namespace anabranch::torch {
namespace {

void run_on_pool(void*, std::int32_t n, ParallelFor::Task task, void* body) {
#pragma omp parallel for schedule(static, 1) num_threads(at::get_num_threads())
  for (std::int32_t i = 0; i < n; ++i) task(body, i);
}

}  // namespace

ParallelFor torch_threads() { return {run_on_pool, nullptr, at::get_num_threads()}; }

void with_thread_team(const std::function<void(const ParallelFor&)>& work) {
  const int wanted = at::get_num_threads();
  if (wanted == 1 || omp_in_parallel() != 0) return work({});
  std::exception_ptr failure;
  std::optional<ThreadTeam> team;
#pragma omp parallel num_threads(wanted)
  {
#pragma omp single
    team.emplace(omp_get_num_threads());
    if (const int thread = omp_get_thread_num(); thread != 0) {
      team->serve(thread);
    } else {
      try {
        work(team->parallel());
      } catch (...) {
        failure = std::current_exception();
      }
      team->end();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace anabranch::torch
