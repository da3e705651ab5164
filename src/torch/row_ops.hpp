// The steps of a layer that work on one row at a time, on float32 arrays. Plain C++: nothing here knows LibTorch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/attention/kv_tensors.hpp>
#include <anabranch/types.hpp>

#include "layer_kinds.hpp"

namespace anabranch::torch {

using attention::HeadShape;

/// out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight; x and out are [n_rows, width] and may be the same.
void rms_norm(const float* x, const float* weight, std::int32_t n_rows, std::int32_t width, double epsilon, float* out);

/// cos and sin of the rows' angles, [n_rows, n_pairs], times the rotation's factor.
struct RopeTable {
  std::vector<float> cosines, sines;
  std::int32_t n_pairs = 0;  ///< the first 2 n_pairs elements of a head turn
  void set(std::span<const Position> positions, const Rotation& rotation);
};

/// The settings with which a row's projection becomes queries and keys.
struct HeadSplit {
  HeadShape shape;
  const RopeTable* rope = nullptr;
  const float* query_norm = nullptr;  ///< [head_dim], or null
  const float* key_norm = nullptr;    ///< [head_dim], or null
  double epsilon = 0;
};

/// x[i] = cap * tanh(x[i] / cap) for n numbers.
void softcap(float* x, std::int64_t n, float cap);

/// Applies the norm, where there is one, and RoPE to one head of queries or keys of qkv [n_rows, q_width + 2 kv_width],
/// in place. A head of values stays as it is.
void apply_rope(float* qkv, std::int32_t n_rows, std::int32_t head, const HeadSplit& split);

/// Attention of consecutive rows over one part of what they see. Element (h, q, d) of `out` is the result for KV head
/// h, query q = row * share + j, at out[h * out_head + q * out_query + d]; lse likewise, natural logarithm.
struct AttentionPart {
  RowIndex row_begin = 0;
  std::int32_t n_rows = 0;
  const float* out = nullptr;
  std::int64_t out_head = 0, out_query = 0;
  const float* lse = nullptr;
  std::int64_t lse_head = 0, lse_query = 0;
};

/// Merges parts, in order, into context [n_rows, query_heads * head_dim]: out = sum_p exp(lse_p - lse) out_p with
/// lse = log sum_p exp(lse_p) (online softmax, Milakov and Gimelshein 2018).
void merge_parts(std::span<const AttentionPart> parts, const HeadShape& shape, std::int32_t n_rows, float* context);

}  // namespace anabranch::torch
