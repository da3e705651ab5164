#include "thread_team.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <thread>

#include <omp.h>

#include <ATen/Parallel.h>

namespace anabranch::torch {
namespace {

void run_on_pool(void*, std::int32_t n, ParallelFor::Task task, void* body) {
#pragma omp parallel for schedule(static, 1) num_threads(at::get_num_threads())
  for (std::int32_t i = 0; i < n; ++i) task(body, i);
}

/// Spins until `done`; on a busy machine it lets others run after a while.
template <class Done>
void wait_until(Done&& done) {
  constexpr int kSpins = 20000;
  for (int i = 0; !done(); ++i) {
    if (i >= kSpins) {
      std::this_thread::yield();
      continue;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

/// Thread t of T runs the indices t, t + T, ... of each loop. What different threads write stands in cache lines of its
/// own.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::int32_t n_threads) noexcept : n_threads_(n_threads) {}

  ParallelFor parallel() noexcept {
    return {[](void* user, std::int32_t n, ParallelFor::Task task, void* body) {
              static_cast<ThreadTeam*>(user)->lead(n, task, body);
            },
            this, n_threads_};
  }

  /// The loop of the other threads, until the end.
  void serve(std::int32_t thread) noexcept {
    for (std::uint32_t seen = 0;; ++seen) {
      wait_until([&] { return turn_.load(std::memory_order_acquire) != seen; });
      if (task_ == nullptr) return;
      take(thread);
      n_ready_.fetch_add(1, std::memory_order_release);
    }
  }
  void end() noexcept {
    task_ = nullptr;
    turn_.fetch_add(1, std::memory_order_release);
  }

 private:
  void lead(std::int32_t n, ParallelFor::Task task, void* body) noexcept {
    task_ = task;
    body_ = body;
    n_ = n;
    n_ready_.store(0, std::memory_order_relaxed);
    turn_.fetch_add(1, std::memory_order_release);
    take(0);
    wait_until([&] { return n_ready_.load(std::memory_order_acquire) == n_threads_ - 1; });
  }
  void take(std::int32_t thread) noexcept {
    for (std::int32_t i = thread; i < n_; i += n_threads_) task_(body_, i);
  }

  const std::int32_t n_threads_;
  alignas(128) std::atomic<std::uint32_t> turn_{0};
  ParallelFor::Task task_ = nullptr;
  void* body_ = nullptr;
  std::int32_t n_ = 0;
  alignas(128) std::atomic<std::int32_t> n_ready_{0};
};

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
