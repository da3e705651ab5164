#include "row_ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "sizes.hpp"

namespace anabranch::torch {
namespace {

/// Sixteen running sums: without them the compiler may not use vector registers, since that changes the rounding.
double sum_of_squares(const float* x, std::int32_t n) {
  float sums[16] = {};
  std::int32_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (std::int32_t j = 0; j < 16; ++j) sums[j] += x[i + j] * x[i + j];
  double total = 0;
  for (const float sum : sums) total += static_cast<double>(sum);
  for (; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}

/// Half-rotation RoPE: element i is paired with i + half.
void rotate(float* head, const float* cosines, const float* sines, std::int32_t half) {
  float* high_half = head + half;
  for (std::int32_t i = 0; i < half; ++i) {
    const float low = head[i];
    const float high = high_half[i];
    head[i] = low * cosines[i] - high * sines[i];
    high_half[i] = high * cosines[i] + low * sines[i];
  }
}

void merge_query(const float* part, float part_lse, std::int32_t head_dim, float* out, float& lse) {
  const float largest = std::max(lse, part_lse);
  const float mine = std::exp(lse - largest);
  const float theirs = std::exp(part_lse - largest);
  const float sum = mine + theirs;
  const float keep = mine / sum;
  const float add = theirs / sum;
  for (std::int32_t d = 0; d < head_dim; ++d) out[d] = out[d] * keep + part[d] * add;
  lse = largest + std::log(sum);
}

}  // namespace

void rms_norm(const float* x, const float* weight, std::int32_t n_rows, std::int32_t width, double epsilon,
              float* out) {
  for (std::int32_t r = 0; r < n_rows; ++r, x += width, out += width) {
    const auto scale = static_cast<float>(1.0 / std::sqrt(sum_of_squares(x, width) / width + epsilon));
    for (std::int32_t i = 0; i < width; ++i) out[i] = x[i] * scale * weight[i];
  }
}

void softcap(float* x, std::int64_t n, float cap) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

void RopeTable::set(std::span<const Position> positions, const Rotation& rotation) {
  const std::vector<double>& frequencies = rotation.frequencies;
  n_pairs = static_cast<std::int32_t>(frequencies.size());
  cosines.clear();
  sines.clear();
  cosines.reserve(positions.size() * frequencies.size());
  sines.reserve(positions.size() * frequencies.size());
  for (const Position position : positions)
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      cosines.push_back(static_cast<float>(std::cos(angle) * rotation.factor));
      sines.push_back(static_cast<float>(std::sin(angle) * rotation.factor));
    }
}

void apply_rope(float* qkv, std::int32_t n_rows, std::int32_t head, const HeadSplit& split) {
  const HeadShape& s = split.shape;
  if (head >= s.query_heads + s.kv_heads) return;
  const std::int32_t half = split.rope->n_pairs;
  const float* norm = head < s.query_heads ? split.query_norm : split.key_norm;
  float* row = qkv + std::ptrdiff_t{head} * s.head_dim;
  for (std::int32_t r = 0; r < n_rows; ++r, row += s.q_width() + 2 * s.kv_width()) {
    const std::ptrdiff_t angles = std::ptrdiff_t{r} * half;
    if (norm != nullptr) rms_norm(row, norm, 1, s.head_dim, split.epsilon, row);
    rotate(row, split.rope->cosines.data() + angles, split.rope->sines.data() + angles, half);
  }
}

void merge_parts(std::span<const AttentionPart> parts, const HeadShape& shape, std::int32_t n_rows, float* context) {
  const std::size_t n_queries = n_elements(n_rows, shape.query_heads);
  std::fill_n(context, n_elements(n_queries, shape.head_dim), 0.0f);
  // Nothing seen yet is weight 0 = exp(-inf); every row has a first part with a finite lse, so no inf - inf arises.
  std::vector<float> lse(n_queries, -std::numeric_limits<float>::infinity());
  const std::int32_t share = shape.share();
  for (const AttentionPart& part : parts)
    for (std::int32_t r = 0; r < part.n_rows; ++r)
      for (std::int32_t h = 0; h < shape.query_heads; ++h) {
        const std::int64_t kv_head = h / share;
        const std::int64_t query = std::int64_t{r} * share + h % share;
        const std::ptrdiff_t place = std::ptrdiff_t{part.row_begin + r} * shape.query_heads + h;
        merge_query(part.out + kv_head * part.out_head + query * part.out_query,
                    part.lse[kv_head * part.lse_head + query * part.lse_query], shape.head_dim,
                    context + place * shape.head_dim, lse.data()[place]);
      }
}

}  // namespace anabranch::torch
