// Who sees what in one forward pass, without a dense mask.
//
// The rows of a pass are ordered so that rows which share history stand together. A visibility group is an interval
// of rows and the list of slot runs that all of them see; a row's context is the concatenation, in order, of the
// groups that contain it. The lists point into runs that live as long as their segments, so a group over a long trunk
// costs a few words, not its length.
#pragma once

#include <cstdint>
#include <span>

#include <anabranch/tree/view.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// How the rows of a group see its keys.
enum class Visibility : std::int32_t {
  full,    ///< every row sees every key
  causal,  ///< the last n_rows keys are the rows themselves: row i sees all keys but the last n_rows - 1 - i
};

/// Rows [row_begin, row_end) see the keys of views [view_begin, view_end), in this order.
struct VisibilityGroup {
  RowIndex row_begin = 0;
  RowIndex row_end = 0;
  std::int32_t view_begin = 0;
  std::int32_t view_end = 0;
  std::int32_t n_keys = 0;  ///< sum of the views' lengths
  Visibility visibility = Visibility::full;
};

/// The views of a group.
constexpr std::span<const View> views_of(const VisibilityGroup& group, std::span<const View> views) noexcept {
  return {views.begin() + group.view_begin, views.begin() + group.view_end};
}

/// Calls `visit(Slot first, std::int32_t count)` for each slot run of a group, in history order. O(runs).
template <class Visit>
constexpr void for_each_run(const VisibilityGroup& group, std::span<const View> views, Visit&& visit) {
  for (const View& view : views_of(group, views)) for_each_run(view, visit);
}

}  // namespace anabranch
