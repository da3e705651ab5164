// Turns the arguments of anabranch_attention.h into those of the C++ functions. Every function throws bad_argument,
// with the bad value and the limit, for an argument that is not valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <anabranch/attention/branch_attention.hpp>

#include "anabranch_attention.h"
#include "structs.hpp"

namespace anabranch::capi {

template <>
inline constexpr std::size_t kFirstSize<anb_attention_options> = offsetof(anb_attention_options, window);

/// The arrays of a plan, in the same memory. Checked is only that the arrays are there; BranchAttention::plan checks
/// their content.
std::span<const View> read_views(const anb_view* views, std::int32_t n);
/// Likewise; the visibilities are checked too.
std::span<const VisibilityGroup> read_groups(const anb_group* groups, std::int32_t n);

attention::HeadShape read_shape(const anb_attention_options& options);
attention::ScoreOptions read_score_options(const anb_attention_options& options);
attention::KvTensors read_kv(const anb_attention_kv* from, const attention::HeadShape& shape);
attention::Rows read_rows(const anb_attention_rows* from, const attention::HeadShape& shape);
/// The same struct with the default stride filled in, and every slot in [0, n_slots).
anb_attention_new_rows read_new_rows(const anb_attention_new_rows* from, const attention::HeadShape& shape,
                                     std::int32_t n_slots);

}  // namespace anabranch::capi
