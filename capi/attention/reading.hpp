// Arguments of anabranch_attention.h, checked and as C++ wants them. All throw bad_argument, with the bad value
// and the limit.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/attention/branch_attention.hpp>

#include "anabranch_attention.h"

namespace anabranch::capi {

/// Arrays of a plan: the same memory. Each view's runs must list its tokens in order, without gaps or overflow.
std::span<const View> read_views(const anb_view* views, std::int32_t n);
/// Only that the array is there: what is in it, BranchAttention::plan checks.
std::span<const VisibilityGroup> read_groups(const anb_group* groups, std::int32_t n);

attention::HeadShape read_shape(const anb_attention_options& options);
attention::KvTensors read_kv(const anb_attention_kv* from, const attention::HeadShape& shape);
attention::Rows read_rows(const anb_attention_rows* from, const attention::HeadShape& shape);
/// With the default stride filled in; every slot lies in the kv.
anb_attention_new_rows read_new_rows(const anb_attention_new_rows* from, const attention::HeadShape& shape,
                                     std::int32_t n_slots);

}  // namespace anabranch::capi
