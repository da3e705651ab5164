// PartialBlock: the arithmetic of one warp's 16 queries on one tile.
//
// The tile may hold keys that some of the queries do not see. Their scores are replaced, not multiplied, so their
// weight is 0 whatever the key holds. A weight of 0 times an infinite value would be NaN: where a tile's values are not
// all finite, the product is made without those that are not, and they are added to the queries that see them.
#pragma once

#include "partial.hpp"

namespace anabranch::cuda {

template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::attend(const Lanes& warp, std::int32_t tile) const {
  if (warp.index * 16 >= n_queries()) return;
  const std::int32_t first_key = task.chunk_begin + tile * Shape::kTile;
  const bool not_finite = shared.non_finite[tile % 2] != 0;
  multiply_keys(warp);
  soften(warp, first_key);
  multiply_values(warp, not_finite);
  if (not_finite) add_non_finite(warp, first_key);
}

/// weights = queries * keys^T.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::multiply_keys(const Lanes& warp) const {
  warp.each([&](int, Registers& own) {
    ANABRANCH_UNROLL
    for (int n = 0; n < Shape::kTile / 8; ++n) {
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i) own.weights[n][i] = 0;
    }
  });
  ANABRANCH_UNROLL
  for (int k = 0; k < D / 16; ++k) {
    const std::uint16_t* queries = shared.queries + warp.index * 16 * Shape::kPitch + k * 16;
    load_matrices<false>(
        warp, [&](int i, int r) { return queries + (i % 2 * 8 + r) * Shape::kPitch + i / 2 * 8; },
        [](Registers& own) { return own.a; });
    ANABRANCH_UNROLL
    for (int n = 0; n < Shape::kTile / 16; ++n) {
      const std::uint16_t* keys = shared.keys + n * 16 * Shape::kPitch + k * 16;
      load_matrices<false>(
          warp, [&](int i, int r) { return keys + (i / 2 * 8 + r) * Shape::kPitch + i % 2 * 8; },
          [](Registers& own) { return own.b; });
      multiply_add<E>(warp, [&](Registers& own) { return ProductRegisters{own.weights[2 * n], own.a, own.b}; });
      multiply_add<E>(warp, [&](Registers& own) { return ProductRegisters{own.weights[2 * n + 1], own.a, own.b + 2}; });
    }
  }
}

/// Turns scores into weights 2^(score - largest), and rescales the sums so far when `largest` grows.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::soften(const Lanes& warp, std::int32_t first_key) const {
  const auto larger = [](float a, float b) { return fmaxf(a, b); };
  warp.each([&](int lane, Registers& own) {
    own.rescale[0] = own.largest[0];
    own.rescale[1] = own.largest[1];
    ANABRANCH_UNROLL
    for (int n = 0; n < Shape::kTile / 8; ++n) {
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int32_t key = first_key + n * 8 + tile_column(lane, i);
        const bool seen = key >= own.begin[i / 2] && key < own.end[i / 2];
        float score = own.weights[n][i] * call.scale;
        if (call.softcap > 0) score = call.softcap * tanhf(score / call.softcap);
        own.weights[n][i] = seen ? score : -INFINITY;
        own.largest[i / 2] = larger(own.largest[i / 2], own.weights[n][i]);
      }
    }
  });
  reduce_row(
      warp, [](Registers& own) -> float& { return own.largest[0]; }, larger);
  reduce_row(
      warp, [](Registers& own) -> float& { return own.largest[1]; }, larger);
  warp.each([&](int, Registers& own) {
    float base[2];
    ANABRANCH_UNROLL
    for (int half = 0; half < 2; ++half) {
      base[half] = own.largest[half] == -INFINITY ? 0.0f : own.largest[half];
      own.rescale[half] = exp2f(own.rescale[half] - base[half]);
      own.sum[half] *= own.rescale[half];
    }
    ANABRANCH_UNROLL
    for (int n = 0; n < Shape::kTile / 8; ++n) {
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i) {
        own.weights[n][i] = exp2f(own.weights[n][i] - base[i / 2]);
        own.sum[i / 2] += own.weights[n][i];
      }
    }
    ANABRANCH_UNROLL
    for (int n = 0; n < D / 8; ++n) {
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i) own.out[n][i] *= own.rescale[i / 2];
    }
  });
}

/// out += weights * values.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::multiply_values(const Lanes& warp, bool not_finite) const {
  ANABRANCH_UNROLL
  for (int k = 0; k < Shape::kTile / 16; ++k) {
    warp.each([&](int, Registers& own) {  // product tiles of scores are, side by side, a left factor
      ANABRANCH_UNROLL
      for (int i = 0; i < 4; ++i)
        own.a[i] = E::pack(own.weights[2 * k + i / 2][i % 2 * 2], own.weights[2 * k + i / 2][i % 2 * 2 + 1]);
    });
    ANABRANCH_UNROLL
    for (int n = 0; n < D / 16; ++n) {
      const std::uint16_t* values = shared.values + k * 16 * Shape::kPitch + n * 16;
      load_matrices<true>(
          warp, [&](int i, int r) { return values + (i % 2 * 8 + r) * Shape::kPitch + i / 2 * 8; },
          [](Registers& own) { return own.b; });
      if (not_finite)
        warp.each([](int, Registers& own) {
          ANABRANCH_UNROLL
          for (int i = 0; i < 4; ++i) own.b[i] = only_finite<E>(own.b[i]);
        });
      multiply_add<E>(warp, [&](Registers& own) { return ProductRegisters{own.out[2 * n], own.a, own.b}; });
      multiply_add<E>(warp, [&](Registers& own) { return ProductRegisters{own.out[2 * n + 1], own.a, own.b + 2}; });
    }
  }
}

/// Adds infinite and NaN values to the queries that see them, without a weight, which would not change them.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::add_non_finite(const Lanes& warp, std::int32_t first_key) const {
  warp.each([&](int lane, Registers& own) {
    for (int key = 0; key < Shape::kTile; ++key) {
      ANABRANCH_UNROLL
      for (int n = 0; n < D / 8; ++n) {
        ANABRANCH_UNROLL
        for (int i = 0; i < 4; ++i) {
          const std::uint16_t value = shared.values[key * Shape::kPitch + n * 8 + tile_column(lane, i)];
          const bool seen = first_key + key >= own.begin[i / 2] && first_key + key < own.end[i / 2];
          if (seen && non_finite<E>(value) != 0) own.out[n][i] += E::widen(value);
        }
      }
    }
  });
}

/// Writes the states to device memory.
template <class E, int D>
ANABRANCH_HOST_DEVICE void PartialBlock<E, D>::write(const Lanes& warp) const {
  if (warp.index * 16 >= n_queries()) return;
  const auto add = [](float a, float b) { return a + b; };
  reduce_row(
      warp, [](Registers& own) -> float& { return own.sum[0]; }, add);
  reduce_row(
      warp, [](Registers& own) -> float& { return own.sum[1]; }, add);
  warp.each([&](int lane, Registers& own) {
    ANABRANCH_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int32_t query = warp.index * 16 + tile_row(lane, half * 2);
      if (query >= n_queries()) continue;
      const std::int32_t head = kv_head * call.share + query % call.share;
      const std::int64_t state = std::int64_t{entry_of(query).state} * call.query_heads + head;
      if (lane % 4 == 0) {
        call.extremes[state * 2] = own.largest[half];
        call.extremes[state * 2 + 1] = own.sum[half];
      }
      ANABRANCH_UNROLL
      for (int n = 0; n < D / 8; ++n) {
        ANABRANCH_UNROLL
        for (int i = 0; i < 2; ++i)  // + 0: a tile that the query does not see may have turned -0 to 0
          call.outs[state * D + n * 8 + tile_column(lane, i)] = own.out[n][half * 2 + i] + 0.0f;
      }
    }
  });
}

}  // namespace anabranch::cuda
