// The keys that every row of a step plan sees, in history order, as pieces of segments.
//
// Views of one segment that continue one another, from whatever groups, are one piece; so a piece says nothing about
// how the plan grouped the keys, only about the row's own history.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/plan/step_plan.hpp>

namespace anabranch::cuda {

/// Row `row` sees tokens [begin, end) of a segment.
struct Piece {
  std::uint64_t segment = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
  RowIndex row = 0;
  std::int32_t view_begin = 0;  ///< RowPaths::views()[view_begin, view_end) hold the tokens, the last maybe more
  std::int32_t view_end = 0;
  std::int32_t first_state = 0;  ///< the piece's chunks have states first_state, first_state + 1, ...
};

class RowPaths {
 public:
  /// Throws bad_argument for a plan that cannot be. Buffers are reused from call to call.
  void build(const StepPlan& plan);

  /// Row after row, each row's in history order.
  const std::vector<Piece>& pieces() const noexcept { return pieces_; }
  std::vector<Piece>& pieces() noexcept { return pieces_; }
  /// Indices into the plan's views.
  const std::vector<std::int32_t>& views() const noexcept { return views_; }

 private:
  void check_groups(const StepPlan& plan) const;
  void sort_groups_by_row(const StepPlan& plan);
  void add_group(const StepPlan& plan, const VisibilityGroup& group, RowIndex row, std::size_t row_pieces);

  std::vector<std::int32_t> first_group_;   ///< [n_rows + 1] into group_of_row_
  std::vector<std::int32_t> group_of_row_;  ///< the groups that contain each row, in order
  std::vector<Piece> pieces_;
  std::vector<std::int32_t> views_;
};

}  // namespace anabranch::cuda
