#include "threads.hpp"

#include <ATen/Parallel.h>

namespace anabranch::torch {
namespace {

void run_on_pool(void*, std::int32_t n, ParallelFor::Task task, void* body) {
#pragma omp parallel for schedule(static, 1) num_threads(at::get_num_threads())
  for (std::int32_t i = 0; i < n; ++i) task(body, i);
}

}  // namespace

ParallelFor torch_threads() { return {run_on_pool, nullptr, at::get_num_threads()}; }

}  // namespace anabranch::torch
