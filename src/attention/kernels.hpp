// The two kernels of branch attention, and their choice by element type and CPU. Plain C++.
#pragma once

#include <cstddef>
#include <cstdint>

#include <anabranch/attention/branch_attention.hpp>

#include "schedule.hpp"

namespace anabranch::attention {

/// The arguments that all tasks of one call share.
struct Call {
  Rows rows;
  KvTensors kv;
  HeadShape shape;
  float scale = 0;    ///< of scores to base 2: the caller's times log2(e)
  float softcap = 0;  ///< likewise; 0: none
  const PieceList* list = nullptr;
  const WindowStarts* starts = nullptr;  ///< empty without a window
  const Schedule* schedule = nullptr;
  // Partial states: sum over the chunk's keys of 2^(score - max), and of that times the value.
  float* max = nullptr;  ///< [n_partials], to base 2
  float* sum = nullptr;  ///< [n_partials]
  float* out = nullptr;  ///< [n_partials, head_dim]
};

/// Where the rows of one KV head are stored, in K or in V.
struct HeadSlots {
  void* tensor = nullptr;
  Element element = Element::float32;
  std::int32_t head_dim = 0;
  std::int64_t first = 0, slot_stride = 0;  ///< in elements
  float* scales = nullptr;                  ///< int8 only
  std::int64_t scale_stride = 0;
};

/// Scratch memory of one worker, and what one task leaves in it for the next. Arrays are [.., kMaxLanes] wide or hold
/// one tile of keys; each starts at a multiple of 64 bytes.
struct Scratch {
  float* queries = nullptr;          ///< [head_dim, lanes]: query i is lane i
  float* scores = nullptr;           ///< [kTile, lanes]
  float* out = nullptr;              ///< [head_dim, lanes]
  float* keys = nullptr;             ///< [kTile, head_dim] as float32, or half of it as bfloat16
  float* values = nullptr;           ///< the same
  float* max = nullptr;              ///< [lanes]
  float* sum = nullptr;              ///< [lanes]
  float* shrink = nullptr;           ///< [lanes]
  float* zeros = nullptr;            ///< [head_dim] zeros
  std::int32_t* limits = nullptr;    ///< [lanes]: keys that a query sees, as offsets in the segment
  std::int32_t* starts = nullptr;    ///< [lanes], set with a window only: the first of them
  std::int32_t arranged_first = -1;  ///< index in the pass of the first query in `queries`
  std::int32_t arranged_n = 0;       ///< number of queries there
  std::int32_t arranged_head = 0;    ///< their KV head

  static std::int64_t bytes(std::int32_t head_dim) noexcept;
  /// Over `bytes(head_dim)` bytes at a multiple of 64.
  static Scratch over(std::byte* memory, std::int32_t head_dim) noexcept;
};

/// `next`: the task that the same thread runs afterwards, whose first keys are prefetched; may be null.
using RunTask = void (*)(const Call& call, const Task& task, const Task* next, Scratch& scratch);
/// Merges the partial states of one row's query heads and writes them to `call.rows`.
using MergeRow = void (*)(const Call& call, RowIndex row);

struct Kernels {
  RunTask run_task = nullptr;
  MergeRow merge_row = nullptr;
};

/// The fastest kernels that this CPU runs. Each element type has a file of its own.
Kernels kernels_for(Element element, std::int32_t head_dim);
MergeRow row_merger();
RunTask float32_task(std::int32_t head_dim);
RunTask bfloat16_task(std::int32_t head_dim);
RunTask float16_task(std::int32_t head_dim);
RunTask int8_task(std::int32_t head_dim);

}  // namespace anabranch::attention
