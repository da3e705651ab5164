// Threads that wait for work without going to sleep: what a decoding loop wants between two products.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <anabranch/parallel_for.hpp>

namespace anabranch::bench {

class SpinPool {
 public:
  explicit SpinPool(std::int32_t n_threads) {
    for (std::int32_t i = 1; i < n_threads; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~SpinPool() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }
  ParallelFor parallel() noexcept {
    if (threads_.empty()) return {};
    return {[](void* user, std::int32_t n, ParallelFor::Task task, void* body) {
              static_cast<SpinPool*>(user)->run(n, task, body);
            },
            this, static_cast<std::int32_t>(threads_.size()) + 1};
  }

 private:
  void run(std::int32_t n, ParallelFor::Task task, void* body) {
    task_ = task;
    body_ = body;
    n_ = n;
    next_.store(0, std::memory_order_relaxed);
    idle_.store(0, std::memory_order_relaxed);
    turn_.fetch_add(1, std::memory_order_release);
    take();
    while (idle_.load(std::memory_order_acquire) != static_cast<std::int32_t>(threads_.size())) pause();
  }
  void take() {
    for (std::int32_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n_;) task_(body_, i);
  }
  void serve() {
    for (std::uint32_t seen = 0;;) {
      while (turn_.load(std::memory_order_acquire) == seen) {
        if (stop_.load(std::memory_order_relaxed)) return;
        pause();
      }
      ++seen;
      take();
      idle_.fetch_add(1, std::memory_order_release);
    }
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  std::vector<std::thread> threads_;
  ParallelFor::Task task_ = nullptr;
  void* body_ = nullptr;
  std::int32_t n_ = 0;
  alignas(64) std::atomic<std::int32_t> next_{0};
  alignas(64) std::atomic<std::int32_t> idle_{0};
  alignas(64) std::atomic<std::uint32_t> turn_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace anabranch::bench
