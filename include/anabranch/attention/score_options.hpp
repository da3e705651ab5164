// The scores of a layer: how products of queries and keys become scores, and which keys a window leaves out. The
// kernels of the CPU and of CUDA and the LibTorch paths take the same options.
#pragma once

#include <cmath>
#include <cstdint>

#include <anabranch/error.hpp>

namespace anabranch::attention {

/// Layers that differ in these take an attention each, which is planned once per pass.
struct ScoreOptions {
  float scale = 0.0f;       ///< factor of the scores; 0: 1 / sqrt(head_dim). Gemma: 1 / sqrt(query_pre_attn_scalar)
  float softcap = 0.0f;     ///< c: a scaled score s becomes c * tanh(s / c), as in Gemma 2; 0: it stays
  std::int32_t window = 0;  ///< W: a row at position q sees keys above q - W only (mask/window_starts.hpp); 0: all
  friend constexpr bool operator==(const ScoreOptions&, const ScoreOptions&) = default;
};

/// Throws bad_argument, naming value and limit.
inline void check_score_options(const ScoreOptions& options) {
  if (!(options.scale >= 0.0f) || std::isinf(options.scale))
    fail(Status::bad_argument, "scale is ", options.scale, ", must be finite, and 0 or more");
  if (options.softcap != 0.0f && (!(options.softcap >= 0.001f) || std::isinf(options.softcap)))
    fail(Status::bad_argument, "softcap is ", options.softcap, ", must be finite, and 0 (none) or 0.001 or more");
  if (options.window < 0) fail(Status::bad_argument, "window is ", options.window, ", must be 0 (none) or more");
}

/// The factor of the scores.
inline float scale_of(const ScoreOptions& options, std::int32_t head_dim) {
  return options.scale > 0 ? options.scale : 1.0f / std::sqrt(static_cast<float>(head_dim));
}

}  // namespace anabranch::attention
