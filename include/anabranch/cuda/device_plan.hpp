// A step plan as the CUDA kernels read it: flat arrays in one packed buffer.
//
// The pieces that rows see (mask/pieces.hpp) are cut into chunks of kChunkKeys keys at fixed offsets inside a segment,
// so the cuts are the same whoever is beside a row. Every row that sees keys of a chunk gives one partial state for it:
// largest score, sum, weighted values. A task is one chunk with as many of its rows as one thread block takes. A row's
// states are merged in history order. Layers with a window take a plan of their own, in which chunks that no row has in
// its window have no task.
//
// The buffer's layout depends on a bucket of sizes only, not on its content. A CUDA graph that was captured for a
// bucket can be replayed with any plan of that bucket: the kernels read the true counts from the buffer, and thread
// blocks beyond them return at once. Plain C++: no GPU and no CUDA header is needed here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch::cuda {

using attention::HeadShape;

/// Keys of one chunk: the unit of splitting over K/V, at multiples of this offset inside a segment.
inline constexpr std::int32_t kChunkKeys = 256;

/// The sizes of a plan, or the sizes that a buffer has room for.
struct PlanSizes {
  std::int32_t n_rows = 0;
  std::int32_t n_tasks = 0;   ///< thread blocks per KV head
  std::int32_t n_states = 0;  ///< partial states: (row, chunk) pairs
  std::int32_t n_runs = 0;    ///< runs of consecutive slots
  friend constexpr bool operator==(const PlanSizes&, const PlanSizes&) = default;
};

/// Bytes of the packed plan of a bucket: 16 for the counts, 32 a task, 16 a state, 8 a run, 4 a row and 4 more.
std::size_t plan_bytes(const PlanSizes& bucket) noexcept;

/// Bytes of scratch memory on the device: 4 * (head_dim + 2) per state and query head.
std::size_t workspace_bytes(const HeadShape& shape, const PlanSizes& bucket) noexcept;

class DevicePlan {
 public:
  /// `limits`: the sizes that the caller's device buffers are made for (`plan_bytes(limits)`,
  /// `workspace_bytes(shape, limits)`).
  /// `window`: as in ScoreOptions. Throws unsupported for a head shape without a kernel: head_dim must be 64, 80, 96,
  /// 128 or 256, and at most 64 query heads may share a KV head; bad_argument for other impossible shapes, limits,
  /// windows.
  DevicePlan(const HeadShape& shape, const PlanSizes& limits, std::int32_t window = 0);
  DevicePlan(DevicePlan&&) noexcept;
  DevicePlan& operator=(DevicePlan&&) noexcept;
  ~DevicePlan();

  /// Cuts a step plan, which it does not keep; call it once per pass. The bucket is the next power of two of every size
  /// (at least 16), at least `at_least`, at most the limits. Throws limit_reached, naming size and limit, or
  /// bad_argument for groups and views that GroupCheck refuses (mask/check_groups.hpp) or that show a key twice to one
  /// row, and with a window for views of one segment that differ in first_position; the previous plan then stays. O(sum
  /// over rows of the pieces and chunks that they see + slot runs); sorting adds a logarithm of the pieces.
  void build(const StepPlan& plan, const PlanSizes& at_least = {});

  const PlanSizes& sizes() const noexcept;
  const PlanSizes& bucket() const noexcept;
  /// The packed buffer, `plan_bytes(bucket())` long, as it is copied to the device. Borrowed until the next `build`.
  std::span<const std::byte> bytes() const noexcept;
  /// Slots that the planned pass may read, those of the step plan's pool.
  std::int32_t n_slots() const noexcept;
  const HeadShape& shape() const noexcept;
  std::int32_t window() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch::cuda
