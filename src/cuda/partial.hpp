// First kernel: the partial states of one task, for all query heads of one KV head.
//
// Block (task, KV head): up to 64 query vectors (row, head), 16 to a warp. The chunk's keys and values go through
// shared memory in tiles; each warp multiplies its queries with a tile of keys on the tensor cores, keeps a running
// maximum and sum per query (flash attention, arXiv 2205.14135), and multiplies the weights with the tile of values.
// Tiles begin at multiples of kTile in the chunk, and a query's sums run over keys in order, so that its bits depend on
// its own keys only.
//
// The kernel is written in phases. Threads of a block synchronise between phases and nowhere else; `partial_block` is
// the order of the phases, for the device and the host alike.
#pragma once

#include <cmath>
#include <cstdint>

#include "calls.hpp"
#include "warp.hpp"

namespace anabranch::cuda {

/// 16 bytes: 8 elements.
struct alignas(16) Vector {
  std::uint32_t words[4];
};

/// Sizes of a block for heads of D.
template <int D>
struct PartialShape {
  static constexpr int kWarps = kBlockQueries / 16;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kBlocks = D <= 80 ? 4 : D <= 128 ? 3 : 2;  ///< least of a multiprocessor: bounds the registers
  static constexpr int kTile = D <= 128 ? 32 : 16;                ///< keys
  static constexpr int kPitch = D + 8;  ///< elements from row to row: 8 rows of ldmatrix in 32 banks
  static constexpr int kRowVectors = D / 8;
  static constexpr int kTileVectors = kTile * kRowVectors;
  static constexpr int kVectors = (kTileVectors + kThreads - 1) / kThreads;  ///< of a thread
};

template <int D>
struct PartialShared {
  using Shape = PartialShape<D>;
  alignas(16) std::uint16_t queries[kBlockQueries * Shape::kPitch];
  alignas(16) std::uint16_t keys[Shape::kTile * Shape::kPitch];
  alignas(16) std::uint16_t values[Shape::kTile * Shape::kPitch];
  Slot slots[kChunkKeys];      ///< slots of the chunk's keys, kNoSlot where the task has none
  std::int32_t non_finite[2];  ///< the tile of values has infinity or NaN; by parity of the tile
};

/// The values that one thread keeps between phases.
template <int D>
struct PartialRegisters {
  using Shape = PartialShape<D>;
  Vector next_keys[Shape::kVectors];  ///< on their way from device memory to shared memory
  Vector next_values[Shape::kVectors];
  float out[D / 8][4];  ///< product tiles: see tile_row, tile_column
  float weights[Shape::kTile / 8][4];
  float largest[2];  ///< of the lane's two queries; scores to base 2
  float sum[2];      ///< of the lane's own columns
  float rescale[2];
  std::int32_t begin[2];  ///< the query sees keys from this offset on
  std::int32_t end[2];    ///< and before this one
  std::uint32_t a[4], b[4];
};

template <class E, int D>
struct PartialBlock {
  using Shape = PartialShape<D>;
  using Registers = PartialRegisters<D>;
  using Lanes = Warp<Registers>;

  const PartialCall& call;
  PartialShared<D>& shared;
  Task task;
  std::int32_t kv_head;

  ANABRANCH_HOST_DEVICE std::int32_t n_queries() const { return task.n_entries * call.share; }
  ANABRANCH_HOST_DEVICE const Entry& entry_of(std::int32_t query) const {
    return call.plan.entries[task.entry_begin + query / call.share];
  }
  ANABRANCH_HOST_DEVICE std::int32_t first_tile() const { return (task.key_begin - task.chunk_begin) / Shape::kTile; }
  ANABRANCH_HOST_DEVICE std::int32_t end_tile() const {
    return (task.key_end - task.chunk_begin + Shape::kTile - 1) / Shape::kTile;
  }

  // partial_load.hpp
  ANABRANCH_HOST_DEVICE void begin(const Lanes& warp) const;
  ANABRANCH_HOST_DEVICE void fetch(const Lanes& warp, std::int32_t tile) const;
  ANABRANCH_HOST_DEVICE void store(const Lanes& warp, std::int32_t tile) const;
  ANABRANCH_HOST_DEVICE Slot slot_of(std::int32_t offset) const;
  ANABRANCH_HOST_DEVICE Vector query_vector(std::int32_t query, std::int32_t part) const;
  // partial_attend.hpp
  ANABRANCH_HOST_DEVICE void attend(const Lanes& warp, std::int32_t tile) const;
  ANABRANCH_HOST_DEVICE void multiply_keys(const Lanes& warp) const;
  ANABRANCH_HOST_DEVICE void soften(const Lanes& warp, std::int32_t first_key) const;
  ANABRANCH_HOST_DEVICE void multiply_values(const Lanes& warp, bool non_finite) const;
  ANABRANCH_HOST_DEVICE void add_non_finite(const Lanes& warp, std::int32_t first_key) const;
  ANABRANCH_HOST_DEVICE void write(const Lanes& warp) const;
};

/// The phases of a block in their order. `phase(f)` runs f(warp) for every warp and returns when all have.
template <class E, int D, class Phase>
ANABRANCH_HOST_DEVICE void partial_block(const PartialBlock<E, D>& block, Phase phase) {
  using Lanes = typename PartialBlock<E, D>::Lanes;
  const std::int32_t first = block.first_tile(), end = block.end_tile();
  phase([&](const Lanes& warp) { block.begin(warp); });
  phase([&](const Lanes& warp) { block.fetch(warp, first); });
  for (std::int32_t tile = first; tile < end; ++tile) {
    phase([&](const Lanes& warp) { block.store(warp, tile); });
    phase([&](const Lanes& warp) {
      if (tile + 1 < end) block.fetch(warp, tile + 1);  // under way while this tile is worked on
      block.attend(warp, tile);
    });
  }
  phase([&](const Lanes& warp) { block.write(warp); });
}

}  // namespace anabranch::cuda

#include "partial_attend.hpp"
#include "partial_load.hpp"
