#include "row_paths.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include <anabranch/error.hpp>

namespace anabranch::cuda {
namespace {

std::string interval(std::int64_t begin, std::int64_t end) {
  return "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

/// The runs must hold every token of the view, in slots of the pool.
void check_view(const View& view, std::int32_t n_slots) {
  std::int32_t next = view.begin;
  for (std::int32_t i = 0; i < view.n_runs; ++i) {
    const SlotRun& run = view.runs[i];
    if (run.offset > next) break;
    next = std::max(next, run.offset + run.count);
  }
  if (view.begin < 0 || view.begin >= view.end || next < view.end)
    fail(Status::bad_argument, "view ", interval(view.begin, view.end), " of segment ", view.segment,
         " has slots up to token ", next);
  for_each_run(view, [&](Slot first, std::int32_t count) {
    if (first < 0 || first > n_slots - count)
      fail(Status::bad_argument, "slots ", interval(first, std::int64_t{first} + count), " in a pool of ", n_slots);
  });
}

void check_group(const VisibilityGroup& group, const StepPlan& plan) {
  const std::string name = "group of rows " + interval(group.row_begin, group.row_end);
  if (group.row_begin < 0 || group.row_begin >= group.row_end || group.row_end > plan.n_rows())
    fail(Status::bad_argument, name, " in a pass of ", plan.n_rows(), " rows");
  if (group.view_begin < 0 || group.view_begin > group.view_end ||
      static_cast<std::size_t>(group.view_end) > plan.views.size())
    fail(Status::bad_argument, name, " has views ", interval(group.view_begin, group.view_end), " of ",
         plan.views.size());
  std::int64_t n_keys = 0;
  for (const View& view : plan.views_of(group)) n_keys += view.end - view.begin;
  const std::int32_t least = group.visibility == Visibility::causal ? group.row_end - group.row_begin : 0;
  if (n_keys != group.n_keys || n_keys < least)
    fail(Status::bad_argument, name, " says ", group.n_keys, " keys, its views have ", n_keys, ", at least ", least,
         " are needed");
}

}  // namespace

void RowPaths::build(const StepPlan& plan) {
  check_groups(plan);
  sort_groups_by_row(plan);
  pieces_.clear();
  views_.clear();
  for (RowIndex row = 0; row < plan.n_rows(); ++row) {
    const auto r = static_cast<std::size_t>(row);
    const std::size_t row_pieces = pieces_.size();
    for (std::int32_t i = first_group_[r]; i < first_group_[r + 1]; ++i) {
      const auto group = static_cast<std::size_t>(group_of_row_[static_cast<std::size_t>(i)]);
      add_group(plan, plan.groups[group], row, row_pieces);
    }
    if (pieces_.size() == row_pieces)
      fail(Status::bad_argument, "row ", row, " of ", plan.n_rows(), " sees no key; every row sees at least itself");
  }
}

void RowPaths::check_groups(const StepPlan& plan) const {
  for (const View& view : plan.views) check_view(view, plan.n_slots);
  for (const VisibilityGroup& group : plan.groups) check_group(group, plan);
}

void RowPaths::sort_groups_by_row(const StepPlan& plan) {
  first_group_.assign(static_cast<std::size_t>(plan.n_rows()) + 1, 0);
  for (const VisibilityGroup& group : plan.groups)
    for (RowIndex row = group.row_begin; row < group.row_end; ++row) ++first_group_[static_cast<std::size_t>(row) + 1];
  for (std::size_t row = 1; row < first_group_.size(); ++row) first_group_[row] += first_group_[row - 1];
  group_of_row_.resize(static_cast<std::size_t>(first_group_.back()));
  for (std::size_t g = plan.groups.size(); g-- > 0;)  // from the back: each row's count becomes its begin again
    for (RowIndex row = plan.groups[g].row_begin; row < plan.groups[g].row_end; ++row)
      group_of_row_[static_cast<std::size_t>(--first_group_[static_cast<std::size_t>(row) + 1])] =
          static_cast<std::int32_t>(g);
  // first_group_[row + 1] now holds where row begins: move all one place down.
  std::rotate(first_group_.begin(), first_group_.begin() + 1, first_group_.end());
  first_group_.back() = static_cast<std::int32_t>(group_of_row_.size());
}

/// REQUIRES: the group contains the row. The row's pieces so far begin at `row_pieces`.
void RowPaths::add_group(const StepPlan& plan, const VisibilityGroup& group, RowIndex row, std::size_t row_pieces) {
  std::int32_t left = group.n_keys;
  if (group.visibility == Visibility::causal) left -= group.row_end - 1 - row;
  for (std::int32_t v = group.view_begin; v < group.view_end && left > 0; ++v) {
    const View& view = plan.views[static_cast<std::size_t>(v)];
    const std::int32_t n = std::min(left, view.end - view.begin);
    left -= n;
    const bool goes_on =
        pieces_.size() > row_pieces && pieces_.back().segment == view.segment && pieces_.back().end == view.begin;
    if (!goes_on) {
      const auto at_view = static_cast<std::int32_t>(views_.size());
      pieces_.push_back({view.segment, view.begin, view.begin, row, at_view, at_view, 0});
    }
    views_.push_back(v);
    pieces_.back().end = view.begin + n;
    pieces_.back().view_end = static_cast<std::int32_t>(views_.size());
  }
}

}  // namespace anabranch::cuda
