// Merges the partial states of a row:
//     out = sum_p 2^(max_p - max) out_p / sum_p 2^(max_p - max) sum_p
// (the state algebra of flash attention), in history order, so that only the row's own history decides the rounding.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "merge.cpp"
#include <hwy/foreach_target.h>
// after foreach_target
#include <algorithm>
#include <cmath>

#include "kernels.hpp"
#include "softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace anabranch::attention {
namespace HWY_NAMESPACE {

HWY_INLINE float exp2_of(float x) {
  const hn::CappedTag<float, 1> one;
  return hn::GetLane(exp2(one, hn::Set(one, x)));
}

/// out = out * keep + part * take
HWY_INLINE void blend(float* out, float keep, const float* part, float take, std::int32_t n) {
  const Full d;
  std::int32_t i = 0;
  for (; i + full_lanes() <= n; i += full_lanes()) {
    const auto kept = hn::Mul(hn::LoadU(d, out + i), hn::Set(d, keep));
    hn::StoreU(hn::MulAdd(hn::LoadU(d, part + i), hn::Set(d, take), kept), d, out + i);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    const auto kept = hn::Mul(hn::LoadU(one, out + i), hn::Set(one, keep));
    hn::StoreU(hn::MulAdd(hn::LoadU(one, part + i), hn::Set(one, take), kept), one, out + i);
  }
}

void merge_head(const Call& call, std::span<const RowPart> parts, std::int32_t head, float* out, float* lse) {
  const std::int32_t share = call.shape.share();
  const std::int32_t dim = call.shape.head_dim;
  float max = kNothing;
  float sum = 0;
  std::fill_n(out, dim, 0.0f);
  for (const RowPart& part : parts) {
    const std::int64_t index = part.first + head / share * part.head_stride + head % share;
    const float part_max = call.max[index];
    const float larger = std::max(max, part_max);
    const float keep = exp2_of(max - larger);
    const float take = exp2_of(part_max - larger);
    blend(out, keep, call.out + index * dim, take, dim);
    sum = sum * keep + call.sum[index] * take;
    max = larger;
  }
  const float factor = 1.0f / sum;
  for (std::int32_t i = 0; i < dim; ++i) out[i] *= factor;
  constexpr float kLn2 = 0.693147180559945309f;
  if (lse != nullptr) *lse = (max + std::log2(sum)) * kLn2;
}

void merge_row(const Call& call, RowIndex row) {
  float* out = call.rows.out + row * call.rows.out_stride;
  for (std::int32_t head = 0; head < call.shape.query_heads; ++head) {
    float* lse = call.rows.lse == nullptr ? nullptr : call.rows.lse + std::int64_t{row} * call.shape.query_heads + head;
    merge_head(call, call.schedule->parts(row), head, out + std::int64_t{head} * call.shape.head_dim, lse);
  }
}

MergeRow choose_merger() { return merge_row; }

}  // namespace HWY_NAMESPACE
}  // namespace anabranch::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anabranch::attention {

HWY_EXPORT(choose_merger);

MergeRow row_merger() { return HWY_DYNAMIC_DISPATCH(choose_merger)(); }

}  // namespace anabranch::attention
#endif
