// The arrays of a packed device plan and where they lie in it. Read by the kernels, written by DevicePlan.
#pragma once

#include <cstddef>
#include <cstdint>

#include <anabranch/cuda/device_plan.hpp>

#include "host_device.hpp"

namespace anabranch::cuda {

/// Query vectors (row, head of the KV head) that one thread block takes.
inline constexpr std::int32_t kBlockQueries = 64;

/// One chunk of keys and some of the rows that see it. Offsets are the keys' places inside their segment.
struct Task {
  std::int32_t chunk_begin = 0;  ///< multiple of kChunkKeys
  std::int32_t key_begin = 0;    ///< first key that one of these rows sees, chunk_begin or later
  std::int32_t key_end = 0;      ///< of the row that sees the most
  std::int32_t run_begin = 0;    ///< runs [run_begin, run_end) hold the keys
  std::int32_t run_end = 0;
  std::int32_t entry_begin = 0;
  std::int32_t n_entries = 0;  ///< 1 .. kBlockQueries / share
  std::int32_t padding = 0;
};

/// One row of a task.
struct Entry {
  std::int32_t row = 0;
  std::int32_t begin = 0;  ///< the row sees the chunk's keys from this offset on
  std::int32_t end = 0;    ///< and before this one
  std::int32_t state = 0;  ///< index of its partial state
};

/// The keys from `offset` on, up to the next run or the task's end, are in slots from `first` on.
struct Run {
  std::int32_t first = 0;
  std::int32_t offset = 0;
};

/// Pointers into a packed plan.
struct PackedPlan {
  PlanSizes* counts;         ///< [1] the true sizes
  Task* tasks;               ///< [bucket.n_tasks]
  Entry* entries;            ///< [bucket.n_states], those of a task together
  Run* runs;                 ///< [bucket.n_runs]
  std::int32_t* row_states;  ///< [bucket.n_rows + 1]; row r has states [row_states[r], row_states[r + 1]), in order
  std::size_t n_bytes;
};

inline PackedPlan packed_plan(void* memory, const PlanSizes& bucket) noexcept {
  auto* place = static_cast<std::byte*>(memory);
  std::size_t used = 0;
  const auto take = [&](std::size_t size, std::int32_t n) {
    std::byte* array = place == nullptr ? nullptr : place + used;
    used += size * static_cast<std::size_t>(n);
    return static_cast<void*>(array);
  };
  PackedPlan plan{};
  plan.counts = static_cast<PlanSizes*>(take(sizeof(PlanSizes), 1));
  plan.tasks = static_cast<Task*>(take(sizeof(Task), bucket.n_tasks));
  plan.entries = static_cast<Entry*>(take(sizeof(Entry), bucket.n_states));
  plan.runs = static_cast<Run*>(take(sizeof(Run), bucket.n_runs));
  plan.row_states = static_cast<std::int32_t*>(take(sizeof(std::int32_t), bucket.n_rows + 1));
  plan.n_bytes = used;
  return plan;
}

static_assert(sizeof(PlanSizes) == 16 && sizeof(Task) == 32 && sizeof(Entry) == 16 && sizeof(Run) == 8);

}  // namespace anabranch::cuda
