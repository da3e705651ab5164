// The object behind a cache handle: the cache, its open step, and the plan that is open on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/plan/paged_export.hpp>

#include "anabranch.h"
#include "guard.hpp"
#include "handles.hpp"
#include "memory.hpp"

namespace anabranch::capi {

/// Lives as long as its handle or a decoder on it; in memory of the caller's allocator.
class CacheObject {
  CallerMemory memory_;  // first, because the cache is made with it

 public:
  /// Throws what KvCache throws, and bad_alloc.
  static CacheObject* create(const anb_allocator& allocator, CacheOptions options);
  CacheObject(const CacheObject&) = delete;
  CacheObject& operator=(const CacheObject&) = delete;
  void keep() noexcept { ++n_owners_; }
  void let_go() noexcept;

  Condition condition;
  KvCache cache;
  const anb_cache* handle = nullptr;
  std::optional<Step> step;               ///< opened through anb_step_begin
  const anb_step* step_handle = nullptr;  ///< of `step`
  const StepPlan* plan = nullptr;         ///< open on the cache: the step's, or a decoder's
  std::vector<PagedLevel> levels;         ///< of the last paged export, and how C sees them
  std::vector<anb_paged_level> c_levels;

  const anb_step* next_step_handle() noexcept;
  void end_step() noexcept {
    step.reset();
    plan = nullptr;
  }

 private:
  CacheObject(const CallerMemory& memory, CacheOptions options);
  std::int32_t n_owners_ = 1;
  std::uint64_t n_steps_ = 0;
};

/// Runs `body(object)` for the cache of a handle, under the guard.
template <class Body>
anb_status with_cache(const anb_cache* handle, Body&& body) noexcept {
  auto* object = static_cast<CacheObject*>(find_object(HandleKind::cache, handle));
  if (object == nullptr)
    return report(Status::bad_handle, "no cache: the handle is NULL, was destroyed, or is another");
  return guard(object->condition, [&] { return body(*object); });
}

/// The cache whose step a handle names, or names no more; null when there is none.
CacheObject* cache_of_step(const anb_step* handle) noexcept;

/// Runs `body(object, step)` for the step of a handle, under the guard.
template <class Body>
anb_status with_step(const anb_step* handle, Body&& body) noexcept {
  CacheObject* object = cache_of_step(handle);
  if (object == nullptr)
    return report(Status::bad_handle, "no step: the handle is NULL, is another, or its cache was destroyed");
  return guard(object->condition, [&] {
    if (object->step_handle != handle || !object->step)
      fail(Status::wrong_state, "the step is over: it was committed or aborted");
    return body(*object, *object->step);
  });
}

// To C and back, without copies: the same bytes under another name.
inline anb_sequence to_c(SequenceId sequence) noexcept {
  return std::uint64_t{sequence.generation} << 32 | sequence.index;
}
inline SequenceId to_cpp(anb_sequence sequence) noexcept {
  return {static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(sequence >> 32)};
}
inline std::span<const SequenceId> to_cpp(const anb_sequence* sequences, std::int32_t n) noexcept {
  const auto* first = reinterpret_cast<const SequenceId*>(sequences);
  return {first, first + n};
}
inline std::span<SequenceId> to_cpp(anb_sequence* sequences, std::int32_t n) noexcept {
  auto* first = reinterpret_cast<SequenceId*>(sequences);
  return {first, first + n};
}
/// Throws bad_argument for a number that names no policy.
Positions to_cpp(anb_positions positions);
/// A plan's arrays as C sees them.
anb_plan to_c(const StepPlan& plan) noexcept;
anb_plan to_c(Shortage shortage) noexcept;

}  // namespace anabranch::capi
