#include "pieces.hpp"

#include <algorithm>
#include <string>

#include <anabranch/error.hpp>

namespace anabranch::attention {
namespace {

std::string rows_of(const VisibilityGroup& group) {
  return "group of rows [" + std::to_string(group.row_begin) + ", " + std::to_string(group.row_end) + ")";
}

/// Number of keys that the group's views list.
std::int64_t listed_keys(const VisibilityGroup& group, std::span<const View> views) {
  std::int64_t n_keys = 0;
  for_each_run(group, views, [&](Slot first, std::int32_t count) {
    if (first < 0) fail(Status::bad_argument, rows_of(group), " sees slot ", first);
    n_keys += count;
  });
  return n_keys;
}

void check_group(const VisibilityGroup& group, std::span<const View> views, std::int32_t n_rows) {
  if (group.row_begin < 0 || group.row_begin > group.row_end || group.row_end > n_rows)
    fail(Status::bad_argument, rows_of(group), " does not fit a plan of ", n_rows, " rows");
  if (group.view_begin < 0 || group.view_begin > group.view_end ||
      static_cast<std::size_t>(group.view_end) > views.size())
    fail(Status::bad_argument, rows_of(group), " has views [", group.view_begin, ", ", group.view_end, ") of ",
         views.size());
  for (std::int32_t v = group.view_begin; v < group.view_end; ++v)
    if (views[static_cast<std::size_t>(v)].n_runs > 0 && views[static_cast<std::size_t>(v)].runs == nullptr)
      fail(Status::bad_argument, rows_of(group), ": the runs of view ", v, " are null");
  const std::int64_t n_keys = listed_keys(group, views);
  if (n_keys != group.n_keys)
    fail(Status::bad_argument, rows_of(group), " says ", group.n_keys, " keys and lists ", n_keys);
  if (group.visibility == Visibility::causal && group.n_keys < group.row_end - group.row_begin)
    fail(Status::bad_argument, rows_of(group), " is causal and has only ", group.n_keys, " keys");
}

/// Rows that see something are marked in `sees`, which is scratch memory; finds the first that does not.
void check_all_see(std::span<const VisibilityGroup> groups, std::vector<std::int32_t>& sees) {
  for (const VisibilityGroup& group : groups)
    if (group.n_keys > 0) std::fill(sees.begin() + group.row_begin, sees.begin() + group.row_end, 0);
  const auto blind = std::find(sees.begin(), sees.end(), kNone);
  if (blind != sees.end()) fail(Status::bad_argument, "row ", blind - sees.begin(), " is in no visibility group");
}

}  // namespace

void PieceList::build(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows) {
  if (n_rows < 0) fail(Status::bad_argument, "n_rows is ", n_rows, ", must be 0 or more");
  for (const VisibilityGroup& group : groups) check_group(group, views, n_rows);
  last_piece_.assign(static_cast<std::size_t>(n_rows), kNone);
  check_all_see(groups, last_piece_);
  std::fill(last_piece_.begin(), last_piece_.end(), kNone);
  pieces_.clear();
  limits_.clear();
  runs_.clear();
  highest_slot_ = kNoSlot;
  n_rows_ = n_rows;
  for (const VisibilityGroup& group : groups) {
    std::int32_t first_token = 0;
    const std::int32_t n_hidden = group.visibility == Visibility::causal ? group.row_end - group.row_begin - 1 : 0;
    for (std::int32_t v = group.view_begin; v < group.view_end && group.row_begin < group.row_end; ++v) {
      const View& view = views[static_cast<std::size_t>(v)];
      if (view.begin < view.end) add_view(group, view, first_token, n_hidden);
      first_token += view.end - view.begin;
    }
  }
  for (Piece& piece : pieces_) {
    const std::span<const std::int32_t> all = limits(piece);
    piece.shortest = *std::min_element(all.begin(), all.end());
    piece.end = *std::max_element(all.begin(), all.end());
  }
}

/// `first_token`: keys of the group before this view; `n_hidden`: keys at the group's end that its first row does not
/// see, one less for each further row.
void PieceList::add_view(const VisibilityGroup& group, const View& view, std::int32_t first_token,
                         std::int32_t n_hidden) {
  std::int32_t index = piece_that_goes_on(group, view);
  if (index == kNone) index = open_piece(group, view);
  Piece& piece = pieces_[static_cast<std::size_t>(index)];
  add_runs(piece, view);
  std::int32_t* limit = limits_.data() + piece.first_limit - piece.row_begin;
  for (RowIndex row = group.row_begin; row < group.row_end; ++row) {
    const std::int32_t visible = group.n_keys - std::max(0, n_hidden - (row - group.row_begin)) - first_token;
    limit[row] = view.begin + std::clamp(visible, 0, view.end - view.begin);
    last_piece_[static_cast<std::size_t>(row)] = index;
  }
}

/// The piece that all rows of the group saw last, up to exactly where this view begins.
std::int32_t PieceList::piece_that_goes_on(const VisibilityGroup& group, const View& view) const {
  const std::int32_t index = last_piece_[static_cast<std::size_t>(group.row_begin)];
  if (view.begin == 0 || index == kNone) return kNone;
  const Piece& piece = pieces_[static_cast<std::size_t>(index)];
  if (piece.segment != view.segment) return kNone;
  for (RowIndex row = group.row_begin; row < group.row_end; ++row) {
    if (last_piece_[static_cast<std::size_t>(row)] != index) return kNone;
    if (limits_[static_cast<std::size_t>(piece.first_limit + row - piece.row_begin)] != view.begin) return kNone;
  }
  return index;
}

std::int32_t PieceList::open_piece(const VisibilityGroup& group, const View& view) {
  Piece piece;
  piece.row_begin = group.row_begin;
  piece.row_end = group.row_end;
  piece.segment = view.segment;
  piece.begin = piece.end = view.begin;
  piece.first_limit = static_cast<std::int32_t>(limits_.size());
  piece.first_run = piece.last_run = static_cast<std::int32_t>(runs_.size());
  limits_.resize(limits_.size() + static_cast<std::size_t>(group.row_end - group.row_begin), view.begin);
  pieces_.push_back(piece);
  return static_cast<std::int32_t>(pieces_.size()) - 1;
}

/// Adds the slots of the view's tokens that the piece does not know yet; `end` is what it knows while it is built.
void PieceList::add_runs(Piece& piece, const View& view) {
  if (view.end <= piece.end) return;
  if (piece.last_run != static_cast<std::int32_t>(runs_.size())) {  // others came after it: it moves to the end
    const auto first = static_cast<std::int32_t>(runs_.size());
    for (std::int32_t r = piece.first_run; r < piece.last_run; ++r) runs_.push_back(runs_[static_cast<std::size_t>(r)]);
    piece.first_run = first;
  }
  std::int32_t offset = view.begin;
  for_each_run(view, [&](Slot first, std::int32_t count) {
    const std::int32_t known = std::clamp(piece.end - offset, 0, count);
    offset += count;
    first += known;
    count -= known;
    if (count == 0) return;
    highest_slot_ = std::max(highest_slot_, first + count - 1);
    const bool empty = static_cast<std::int32_t>(runs_.size()) == piece.first_run;
    if (!empty && runs_.back().first + runs_.back().count == first)
      runs_.back().count += count;
    else
      runs_.push_back({first, count, offset - count});
  });
  piece.end = view.end;
  piece.last_run = static_cast<std::int32_t>(runs_.size());
}

}  // namespace anabranch::attention
