// A view: tokens [begin, end) of one segment, as the slots that hold them.
//
// Histories hand views out, visibility groups list them, and kernels read them. A view borrows the runs of its segment.
#pragma once

#include <algorithm>
#include <cstdint>

#include <anabranch/types.hpp>

namespace anabranch {

/// Tokens [begin, end) of one segment, as slot runs.
struct View {
  const SlotRun* runs = nullptr;  ///< borrowed; the first holds token `begin`, the last holds token `end - 1`
  std::int32_t n_runs = 0;
  std::int32_t begin = 0;  ///< offsets inside the segment: kernels may cut tiles at multiples of these
  std::int32_t end = 0;
  Position first_position = 0;  ///< of the segment's token 0; token i has first_position + i
  std::uint64_t segment = 0;    ///< unique number of the segment, never used again
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

}  // namespace anabranch
