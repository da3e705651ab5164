// The caller's threads as a ParallelFor that is watched: a loop that does not run every task exactly once becomes a
// status instead of a wrong result.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <anabranch/parallel_for.hpp>

#include "anabranch_attention.h"

namespace anabranch::capi {

/// Most tasks of one loop; there is one per worker.
inline constexpr std::int32_t kMaxWorkers = 1024;

/// Throws bad_argument unless n_workers is 1 to kMaxWorkers.
void check_workers(std::int32_t n_workers);

class CallersThreads {
 public:
  /// NULL stands for the calling thread alone. Throws bad_argument.
  explicit CallersThreads(const anb_attention_threads* threads);
  CallersThreads(const CallersThreads&) = delete;
  CallersThreads& operator=(const CallersThreads&) = delete;

  /// Refers to this object, which must outlive it.
  ParallelFor loop() noexcept;
  /// Throws callback_failed when a loop did not run every task exactly once.
  void check() const;

 private:
  static void run(void* self, std::int32_t n, ParallelFor::Task task, void* body) noexcept;

  anb_attention_threads threads_;
  bool threw_ = false;
  std::atomic<bool> repeated_ = false;
  std::int32_t n_missing_ = 0;
};

}  // namespace anabranch::capi
