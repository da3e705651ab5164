// The check of a pass's visibility groups, made once here for all who read them: the attention kernels of the CPU and
// of CUDA, the LibTorch runner, and plans that come through C.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// The sizes that groups and views must fit.
struct PassSize {
  std::int32_t n_rows = 0;
  std::int32_t n_slots = kUnlimited;  ///< of the pool; kUnlimited where it is not known yet
};

/// Throws bad_argument, naming the bad value and its limit, unless all of this holds:
///
///   view   [begin, end) with 0 <= begin <= end. Its runs list its tokens in order, each once, in slots [0, n_slots);
///          runs of no tokens, and runs outside the view, are skipped
///   group  an interval of rows, perhaps an empty one, and an interval of the views. Its n_keys is the sum of the
///          views' lengths; a causal group has a key for each of its rows
///   row    is in a group with keys
///
/// O(rows + views + runs). An object keeps its memory from check to check.
class GroupCheck {
 public:
  void operator()(std::span<const VisibilityGroup> groups, std::span<const View> views, const PassSize& size);

 private:
  IndexedVector<char, RowIndex> sees_;  ///< [n_rows]: whether a group with keys has the row
};

namespace impl {

inline std::string interval(std::int64_t begin, std::int64_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_view(std::size_t index, const std::string& why) {
  fail(Status::bad_argument, "view ", index, ": ", why);
}

inline void check_run(std::size_t view, const SlotRun& run, std::int32_t n_slots) {
  if (run.count >= 0 && run.first >= 0 && run.first <= n_slots - run.count && run.offset >= 0 &&
      run.offset <= kUnlimited - run.count)
    return;
  fail_view(view, "a run of " + std::to_string(run.count) + " slots from " + std::to_string(run.first) +
                      " on, offset " + std::to_string(run.offset) +
                      (n_slots == kUnlimited ? "" : "; the pool has " + std::to_string(n_slots) + " slots"));
}

inline void check_view(std::size_t index, const View& view, std::int32_t n_slots) {
  if (view.begin < 0 || view.begin > view.end) fail_view(index, "tokens " + interval(view.begin, view.end));
  if (view.n_runs > 0 && view.runs == nullptr)
    fail(Status::bad_argument, "the runs of view ", index, " are null, n_runs is ", view.n_runs);
  std::int32_t listed = view.begin;
  for (std::int32_t r = 0; r < view.n_runs; ++r) {
    const SlotRun& run = view.runs[r];
    check_run(index, run, n_slots);
    if (run.count == 0 || run.offset + run.count <= view.begin || run.offset >= view.end) continue;
    if (run.offset > listed || (run.offset < listed && listed != view.begin))
      fail_view(index,
                "a run begins at token " + std::to_string(run.offset) + ", expected was " + std::to_string(listed));
    listed = run.offset + run.count;
  }
  if (listed < view.end)
    fail_view(index, "its runs end at token " + std::to_string(listed) + ", the view at " + std::to_string(view.end));
}

inline void check_group(const VisibilityGroup& group, std::span<const View> views, std::int32_t n_rows) {
  const auto fail_group = [&group](auto... why) {
    fail(Status::bad_argument, "group of rows ", interval(group.row_begin, group.row_end), why...);
  };
  if (group.row_begin < 0 || group.row_begin > group.row_end || group.row_end > n_rows)
    fail_group(" does not fit a plan of ", n_rows, " rows");
  if (group.view_begin < 0 || group.view_begin > group.view_end || std::cmp_greater(group.view_end, views.size()))
    fail_group(" has views ", interval(group.view_begin, group.view_end), " of ", views.size());
  std::int64_t n_keys = 0;
  for (const View& view : views_of(group, views)) n_keys += view.end - view.begin;
  if (n_keys != group.n_keys) fail_group(" says ", group.n_keys, " keys and lists ", n_keys);
  if (group.visibility == Visibility::causal && n_keys < group.row_end - group.row_begin)
    fail_group(" is causal and has only ", n_keys, " keys");
}

}  // namespace impl

inline void GroupCheck::operator()(std::span<const VisibilityGroup> groups, std::span<const View> views,
                                   const PassSize& size) {
  if (size.n_rows < 0) fail(Status::bad_argument, "n_rows is ", size.n_rows, ", must be 0 or more");
  for (std::size_t v = 0; v < views.size(); ++v) impl::check_view(v, views[v], size.n_slots);
  for (const VisibilityGroup& group : groups) impl::check_group(group, views, size.n_rows);
  sees_.assign(size.n_rows, 0);
  for (const VisibilityGroup& group : groups)
    if (group.n_keys > 0) std::fill(sees_.begin() + group.row_begin, sees_.begin() + group.row_end, char{1});
  const auto blind = std::find(sees_.begin(), sees_.end(), char{0});
  if (blind != sees_.end()) fail(Status::bad_argument, "row ", blind - sees_.begin(), " is in no visibility group");
}

}  // namespace anabranch
