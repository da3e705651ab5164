// Who sees what in one forward pass, without a dense mask.
//
// The rows of a pass are ordered so that rows which share history stand together. A visibility group is an interval
// of rows and the list of slot runs that all of them see; a row's context is the concatenation, in order, of the
// groups that contain it. The lists point into runs that live as long as their segments, so a group over a long trunk
// costs a few words, not its length.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <anabranch/types.hpp>

namespace anabranch {

/// Tokens [begin, end) of one segment, as slot runs.
struct View {
  const SlotRun* runs = nullptr;  ///< borrowed; the first holds token `begin`, the last holds token `end - 1`
  std::int32_t n_runs = 0;
  std::int32_t begin = 0;  ///< offsets inside the segment: kernels may cut tiles at multiples of these
  std::int32_t end = 0;
  std::uint64_t segment = 0;  ///< unique number of the segment, never used again
};

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

/// Calls `visit(Slot first, std::int32_t count)` for each slot run of a view, clipped to [begin, end). O(runs).
template <class Visit>
constexpr void for_each_run(const View& view, Visit&& visit) {
  for (std::int32_t i = 0; i < view.n_runs; ++i) {
    const SlotRun& run = view.runs[i];
    const std::int32_t from = std::max(run.offset, view.begin);
    const std::int32_t to = std::min(run.offset + run.count, view.end);
    if (from < to) visit(run.first + (from - run.offset), to - from);
  }
}

/// Calls `visit(Slot first, std::int32_t count)` for each slot run of a group, in history order. O(runs).
template <class Visit>
constexpr void for_each_run(const VisibilityGroup& group, std::span<const View> views, Visit&& visit) {
  for (std::int32_t v = group.view_begin; v < group.view_end; ++v)
    for_each_run(views[static_cast<std::size_t>(v)], visit);
}

}  // namespace anabranch
