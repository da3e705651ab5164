// The arrays of a plan's groups cross the border as they are, in both C libraries. What makes that right:
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <anabranch.h>

#include <anabranch/mask/visibility.hpp>

namespace anabranch::capi {

template <class A, class B>
inline constexpr bool kSameShape = sizeof(A) == sizeof(B) && alignof(A) == alignof(B) && std::is_standard_layout_v<A>;

static_assert(kSameShape<SlotRun, anb_slot_run> && offsetof(SlotRun, count) == offsetof(anb_slot_run, count) &&
              offsetof(SlotRun, offset) == offsetof(anb_slot_run, offset));
static_assert(kSameShape<View, anb_view> && offsetof(View, n_runs) == offsetof(anb_view, n_runs) &&
              offsetof(View, begin) == offsetof(anb_view, begin) && offsetof(View, end) == offsetof(anb_view, end) &&
              offsetof(View, first_position) == offsetof(anb_view, first_position) &&
              offsetof(View, segment) == offsetof(anb_view, segment));
static_assert(kSameShape<VisibilityGroup, anb_group> &&
              offsetof(VisibilityGroup, row_end) == offsetof(anb_group, row_end) &&
              offsetof(VisibilityGroup, view_begin) == offsetof(anb_group, view_begin) &&
              offsetof(VisibilityGroup, view_end) == offsetof(anb_group, view_end) &&
              offsetof(VisibilityGroup, n_keys) == offsetof(anb_group, n_keys) &&
              offsetof(VisibilityGroup, visibility) == offsetof(anb_group, visibility));
static_assert(static_cast<std::int32_t>(Visibility::full) == ANB_VISIBILITY_FULL &&
              static_cast<std::int32_t>(Visibility::causal) == ANB_VISIBILITY_CAUSAL);

}  // namespace anabranch::capi
