// The caller's threads as a parallel-for, watched: work that is not done as promised becomes a status, not a wrong
// result.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <anabranch/parallel_for.hpp>

#include "anabranch_attention.h"

namespace anabranch::capi {

/// Tasks of one loop at most: there is one per worker.
inline constexpr std::int32_t kMaxWorkers = 1024;

/// Throws bad_argument for a number of workers that cannot be.
void check_workers(std::int32_t n_workers);

class Threads {
 public:
  /// NULL: the caller's own thread. Throws bad_argument.
  explicit Threads(const anb_attention_threads* threads);
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  /// Refers to this object.
  ParallelFor loop() noexcept;
  /// Throws callback_failed when a loop was not run as it should be.
  void check() const;

 private:
  static void run(void* self, std::int32_t n, ParallelFor::Task task, void* body) noexcept;

  anb_attention_threads threads_;
  bool threw_ = false;
  std::atomic<bool> repeated_ = false;
  std::int32_t n_missing_ = 0;
};

}  // namespace anabranch::capi
