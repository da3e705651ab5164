// PieceList: from groups to pieces.
#pragma once

#include <algorithm>

#include <anabranch/mask/pieces.hpp>

namespace anabranch {

/// A group, and where one of its views stands among its keys.
struct PieceList::Keys {
  const VisibilityGroup& group;
  std::int32_t n_before = 0;  ///< keys of the group before the view
  std::int32_t n_hidden = 0;  ///< keys at the group's end that its first row does not see; each next row sees one more

  std::int32_t n_visible(RowIndex row) const noexcept {
    return group.n_keys - std::max(0, n_hidden - (row - group.row_begin)) - n_before;
  }
};

inline void PieceList::build(std::span<const VisibilityGroup> groups, std::span<const View> views,
                             const PassSize& size) {
  check_(groups, views, size);
  last_piece_.assign(size.n_rows, kNoIndex);
  pieces_.clear();
  limits_.clear();
  runs_.clear();
  highest_slot_ = kNoSlot;
  torn_piece_ = kNoIndex;
  n_rows_ = size.n_rows;
  for (const VisibilityGroup& group : groups) {
    if (group.row_begin == group.row_end) continue;
    Keys keys{group, 0, group.visibility == Visibility::causal ? group.row_end - group.row_begin - 1 : 0};
    for (const View& view : views_of(group, views)) {
      if (view.begin < view.end) add_view(keys, view);
      keys.n_before += view.end - view.begin;
    }
  }
  for (Piece& piece : pieces_) {
    const auto [shortest, longest] = std::ranges::minmax(limits(piece));
    piece.shortest = shortest;
    piece.end = longest;
  }
}

/// Rows that continue one piece, or none, are taken together.
inline void PieceList::add_view(const Keys& keys, const View& view) {
  for (RowIndex begin = keys.group.row_begin, end = begin; begin < keys.group.row_end; begin = end) {
    Index<Piece> index = continued_piece(begin, view);
    while (++end < keys.group.row_end && continued_piece(end, view) == index) {
    }
    if (index == kNoIndex) index = open_piece(begin, end, view);
    if (pieces_[index].first_position != view.first_position) torn_piece_ = index;
    std::fill(last_piece_.begin() + begin, last_piece_.begin() + end, index);
    set_limits(keys, view, begin, end);
    add_runs(pieces_[index], view);
  }
}

/// The piece that the row saw last, if it ends for this row exactly where the view begins; else none.
inline Index<Piece> PieceList::continued_piece(RowIndex row, const View& view) const {
  const Index<Piece> index = last_piece_[row];
  if (view.begin == 0 || index == kNoIndex) return kNoIndex;
  const Piece& piece = pieces_[index];
  const std::int32_t limit = limits_[piece.first_limit + row - piece.row_begin];
  return piece.segment == view.segment && limit == view.begin ? index : kNoIndex;
}

inline Index<Piece> PieceList::open_piece(RowIndex row_begin, RowIndex row_end, const View& view) {
  Piece piece;
  piece.row_begin = row_begin;
  piece.row_end = row_end;
  piece.segment = view.segment;
  piece.begin = piece.end = view.begin;
  piece.first_limit = limits_.size();
  piece.first_position = view.first_position;
  piece.first_run = piece.last_run = runs_.size();
  limits_.grow(limits_.size() + row_end - row_begin, view.begin);
  return pieces_.push_back(piece);
}

/// REQUIRES: the rows' last piece is the same.
inline void PieceList::set_limits(const Keys& keys, const View& view, RowIndex row_begin, RowIndex row_end) {
  const Piece& piece = pieces_[last_piece_[row_begin]];
  std::int32_t* limit = limits_.data() + piece.first_limit - piece.row_begin;
  for (RowIndex row = row_begin; row < row_end; ++row)
    limit[row] = view.begin + std::clamp(keys.n_visible(row), 0, view.end - view.begin);
}

/// Adds the slots of the view's tokens that the piece does not have yet; while it is built, `end` is where they begin.
inline void PieceList::add_runs(Piece& piece, const View& view) {
  if (view.end <= piece.end) return;
  if (piece.last_run != runs_.size()) {  // other pieces came after it: it moves to the end
    const std::int32_t first = runs_.size();
    for (std::int32_t r = piece.first_run; r < piece.last_run; ++r) runs_.push_back(runs_[r]);
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
    const bool empty = runs_.size() == piece.first_run;
    if (!empty && runs_.back().first + runs_.back().count == first)
      runs_.back().count += count;
    else
      runs_.push_back({first, count, offset - count});
  });
  piece.end = view.end;
  piece.last_run = runs_.size();
}

}  // namespace anabranch
