// A team of threads that stand by between loops, so that a loop starts within a fraction of a microsecond.
//
// A pass of a small model is some 200 loops of a few microseconds each; waking sleeping threads for each of them would
// take longer than the loops. A member of a team spins while it waits, and yields its processor after a while, so a
// team costs all of its processors as long as it stands by.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <anabranch/parallel_for.hpp>

namespace anabranch {

/// The meeting point of a team's threads, whoever starts them: one thread leads and runs loops through `parallel`, the
/// others call `serve`. Thread t of T runs indices t, t + T, ... of each loop, so equal loops find warm caches.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::int32_t n_threads) noexcept : n_threads_(n_threads) {}
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// For the leader. Refers to the team, which must not run a loop inside another. Loops wait until every thread of the
  /// team has called `serve`.
  ParallelFor parallel() noexcept {
    if (n_threads_ <= 1) return {};
    return {[](void* user, std::int32_t n, ParallelFor::Task task, void* body) {
              static_cast<ThreadTeam*>(user)->lead(n, task, body);
            },
            this, n_threads_};
  }

  /// For thread 1, 2, ... of the team: runs its indices of every loop, and returns after `end`.
  void serve(std::int32_t thread) noexcept {
    for (std::uint32_t seen = 0;; ++seen) {
      wait_until([&] { return turn_.load(std::memory_order_acquire) != seen; });
      if (task_ == nullptr) return;
      take(thread);
      n_ready_.fetch_add(1, std::memory_order_release);
    }
  }

  /// For the leader: makes the others return from `serve`. The team is not used afterwards.
  void end() noexcept {
    task_ = nullptr;
    turn_.fetch_add(1, std::memory_order_release);
  }

 private:
  template <class Done>
  static void wait_until(Done&& done) noexcept {
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

  // Members that different threads write stand in cache lines of their own.
  const std::int32_t n_threads_;
  alignas(128) std::atomic<std::uint32_t> turn_{0};
  ParallelFor::Task task_ = nullptr;
  void* body_ = nullptr;
  std::int32_t n_ = 0;
  alignas(128) std::atomic<std::int32_t> n_ready_{0};
};

/// A team of threads of its own, which start with it and end with it. The thread that makes it leads.
class OwnThreadTeam {
 public:
  explicit OwnThreadTeam(std::int32_t n_threads) : team_(n_threads) {
    try {
      for (std::int32_t t = 1; t < n_threads; ++t) threads_.emplace_back([this, t] { team_.serve(t); });
    } catch (...) {
      join();
      throw;
    }
  }
  OwnThreadTeam(const OwnThreadTeam&) = delete;
  OwnThreadTeam& operator=(const OwnThreadTeam&) = delete;
  ~OwnThreadTeam() { join(); }

  ParallelFor parallel() noexcept { return team_.parallel(); }

 private:
  void join() noexcept {
    team_.end();
    for (std::thread& thread : threads_) thread.join();
  }

  ThreadTeam team_;
  std::vector<std::thread> threads_;
};

}  // namespace anabranch
