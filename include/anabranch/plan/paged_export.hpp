// A plan for paged attention kernels in the manner of FlashInfer's cascade: levels of (query rows, K/V list) pairs
// whose partial states the host merges.
//
// Every level covers all rows, in order; rows that see nothing there have an empty list. A row's context is the sum of
// its lists over the levels. Merging needs each level's log-sum-exp; FlashInfer's is to base 2, the formulas of this
// library use base e: multiply by ln 2 at the border.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch {

/// One level: entry e has rows [row_indptr[e], row_indptr[e+1]) and K/V pages indices[indptr[e] .. indptr[e+1]).
struct PagedLevel {
  bool causal = false;                      ///< rows are the last keys of their entry, aligned at the end
  std::vector<std::int32_t> row_indptr;     ///< [n_entries + 1]; from 0 to n_rows
  std::vector<std::int32_t> indptr;         ///< [n_entries + 1]
  std::vector<std::int32_t> indices;        ///< page numbers; with page size 1: slots
  std::vector<std::int32_t> last_page_len;  ///< [n_entries], 1 .. page size; 0 for an empty entry
};

// Templates without a parameter that anybody gives: only what is called is compiled.

namespace impl {

/// Which level each group goes to: 0, 1, ... by how many groups its rows have before; causal ones together at the end.
template <class = void>
std::vector<std::vector<const VisibilityGroup*>> levels_of(const StepPlan& plan) {
  std::vector<std::vector<const VisibilityGroup*>> levels;
  std::vector<const VisibilityGroup*> causal;
  IndexedVector<std::size_t, RowIndex> depth;  // [n_rows]: groups that the row has before
  depth.assign(plan.n_rows(), 0);
  for (const VisibilityGroup& group : plan.groups) {
    if (group.visibility == Visibility::causal) {
      causal.push_back(&group);
      continue;
    }
    std::size_t level = 0;
    for (RowIndex row = group.row_begin; row < group.row_end; ++row) level = std::max(level, depth[row]);
    for (RowIndex row = group.row_begin; row < group.row_end; ++row) depth[row] = level + 1;
    if (levels.size() <= level) levels.resize(level + 1);
    levels[level].push_back(&group);
  }
  if (!causal.empty()) levels.push_back(std::move(causal));
  for (auto& level : levels)
    std::sort(level.begin(), level.end(), [](auto* a, auto* b) { return a->row_begin < b->row_begin; });
  return levels;
}

/// Adds one entry with `n_pages` newly appended indices behind it.
template <class = void>
void end_entry(PagedLevel& level, RowIndex row_end, std::int32_t last_page_len) {
  level.row_indptr.push_back(row_end);
  level.indptr.push_back(static_cast<std::int32_t>(level.indices.size()));
  level.last_page_len.push_back(last_page_len);
}

/// `add(group, level)` appends a group's indices and returns the length of its last page, or -1 when it cannot.
template <class Add>
bool build_levels(const StepPlan& plan, std::vector<PagedLevel>& result, Add&& add) {
  for (const auto& groups : levels_of(plan)) {
    PagedLevel level;
    level.causal = groups.front()->visibility == Visibility::causal;
    level.row_indptr.push_back(0);
    level.indptr.push_back(0);
    for (const VisibilityGroup* group : groups) {
      if (level.row_indptr.back() < group->row_begin) end_entry(level, group->row_begin, 0);
      const std::int32_t last = add(*group, level);
      if (last < 0) return false;
      end_entry(level, group->row_end, last);
    }
    if (level.row_indptr.back() < plan.n_rows()) end_entry(level, plan.n_rows(), 0);
    result.push_back(std::move(level));
  }
  return true;
}

}  // namespace impl

/// Lists of slots, page size 1: always exact. O(rows + visible slots).
template <class = void>
std::vector<PagedLevel> slot_lists(const StepPlan& plan) {
  std::vector<PagedLevel> levels;
  impl::build_levels(plan, levels, [&](const VisibilityGroup& group, PagedLevel& level) {
    for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
      for (std::int32_t i = 0; i < count; ++i) level.indices.push_back(first + i);
    });
    return 1;
  });
  return levels;
}

/// Page tables, where they are exact: every entry's tokens fill whole pages from offset 0 on, but for its last page,
/// which starts at offset 0 too. Else returns not_exact and leaves `levels` alone. O(rows + runs + pages).
template <class = void>
Status page_tables(const StepPlan& plan, std::vector<PagedLevel>& levels) {
  std::vector<PagedLevel> result;
  const std::int32_t page_size = plan.page_size;
  const bool exact = impl::build_levels(plan, result, [&](const VisibilityGroup& group, PagedLevel& level) {
    std::int32_t in_page = page_size;  // tokens in the page so far; a full page lets the next begin
    bool fits = true;
    for_each_run(group, plan.views, [&](Slot first, std::int32_t count) {
      while (count > 0 && fits) {
        const std::int32_t page = first / page_size;
        const std::int32_t offset = first % page_size;
        const bool begins = in_page == page_size && offset == 0;
        const bool goes_on = offset == in_page && !level.indices.empty() && level.indices.back() == page;
        fits = begins || goes_on;
        if (begins) level.indices.push_back(page);
        const std::int32_t n = std::min(count, page_size - offset);
        in_page = offset + n;
        first += n;
        count -= n;
      }
    });
    return fits ? in_page : -1;
  });
  if (!exact) return Status::not_exact;
  levels = std::move(result);
  return Status::ok;
}

}  // namespace anabranch
