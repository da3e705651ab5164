// PartialBlock: loads slots, queries, keys and values from device memory into shared memory.
#pragma once

#include "partial.hpp"

namespace anabranch::cuda {

/// The slot of the key at `offset`, which the last run holds that begins there or before. REQUIRES: the task has it.
template <class E, int D>
ANABRANCH_HOST_DEVICE Slot PartialBlock<E, D>::slot_of(std::int32_t offset) const {
  std::int32_t low = task.run_begin, high = task.run_end;
  while (high - low > 1) {
    const std::int32_t middle = (low + high) / 2;
    (call.plan.runs[middle].offset <= offset ? low : high) = middle;
  }
  const Run run = call.plan.runs[low];
  return run.first + (offset - run.offset);
}

/// Eight elements of a query vector.
template <class E, int D>
ANABRANCH_HOST_DEVICE Vector PartialBlock<E, D>::query_vector(std::int32_t query, std::int32_t part) const {
  const std::int32_t head = kv_head * call.share + query % call.share;
  const std::int64_t place = entry_of(query).row * call.query_stride + std::int64_t{head} * D + part * 8;
  if (!call.float_queries)
    return *reinterpret_cast<const Vector*>(static_cast<const std::uint16_t*>(call.queries) + place);
  const float* floats = static_cast<const float*>(call.queries) + place;
  Vector vector;
  ANABRANCH_UNROLL
  for (int i = 0; i < 4; ++i) vector.words[i] = E::pack(floats[2 * i], floats[2 * i + 1]);
  return vector;
}

/// Copies slots and queries to shared memory and sets the sums to zero.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::begin(const Lanes& warp) const {
  warp.each([&](int lane, Registers& own) {
    const int thread = warp.thread(lane);
    for (std::int32_t i = thread; i < kChunkKeys; i += Shape::kThreads) {
      const std::int32_t offset = task.chunk_begin + i;
      shared.slots[i] = offset >= task.key_begin && offset < task.key_end ? slot_of(offset) : kNoSlot;
    }
    for (std::int32_t v = thread; v < kBlockQueries * Shape::kRowVectors; v += Shape::kThreads) {
      const std::int32_t query = v / Shape::kRowVectors, part = v % Shape::kRowVectors;
      const Vector vector = query < n_queries() ? query_vector(query, part) : Vector{};
      *reinterpret_cast<Vector*>(shared.queries + query * Shape::kPitch + part * 8) = vector;
    }
    if (thread < 2) shared.non_finite[thread] = 0;
    ANABRANCH_UNROLL
    for (int n = 0; n < D / 8; ++n) {
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i) own.out[n][i] = 0;
    }
    ANABRANCH_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int32_t query = warp.index * 16 + tile_row(lane, half * 2);
      own.begin[half] = query < n_queries() ? entry_of(query).begin : task.key_begin;
      own.end[half] = query < n_queries() ? entry_of(query).end : task.key_begin;
      own.largest[half] = -INFINITY;
      own.sum[half] = 0;
    }
  });
}

/// Loads a tile's keys and values into registers; zeros where the task has no key.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::fetch(const Lanes& warp, std::int32_t tile) const {
  warp.each([&](int lane, Registers& own) {
    ANABRANCH_UNROLL
    for (int i = 0; i < Shape::kVectors; ++i) {
      const std::int32_t v = warp.thread(lane) + i * Shape::kThreads;
      const Slot slot = v < Shape::kTileVectors ? shared.slots[tile * Shape::kTile + v / Shape::kRowVectors] : kNoSlot;
      own.next_keys[i] = own.next_values[i] = Vector{};
      if (slot == kNoSlot) continue;
      const std::int64_t place = slot * call.slot_stride + kv_head * call.head_stride + v % Shape::kRowVectors * 8;
      own.next_keys[i] = *reinterpret_cast<const Vector*>(call.keys + place);
      own.next_values[i] = *reinterpret_cast<const Vector*>(call.values + place);
    }
  });
}

/// Copies the tile from registers to shared memory, and marks it when its values are not all finite.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::store(const Lanes& warp, std::int32_t tile) const {
  warp.each([&](int lane, Registers& own) {
    if (warp.thread(lane) == 0) shared.non_finite[(tile + 1) % 2] = 0;
    std::uint32_t marks = 0;
    ANABRANCH_UNROLL
    for (int i = 0; i < Shape::kVectors; ++i) {
      const std::int32_t v = warp.thread(lane) + i * Shape::kThreads;
      if (v >= Shape::kTileVectors) continue;
      const std::int32_t place = v / Shape::kRowVectors * Shape::kPitch + v % Shape::kRowVectors * 8;
      *reinterpret_cast<Vector*>(shared.keys + place) = own.next_keys[i];
      *reinterpret_cast<Vector*>(shared.values + place) = own.next_values[i];
      ANABRANCH_UNROLL
      for (int w = 0; w < 4; ++w) marks |= non_finite<E>(own.next_values[i].words[w]);
    }
    if (marks != 0) shared.non_finite[tile % 2] = 1;
  });
}

}  // namespace anabranch::cuda
