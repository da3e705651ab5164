// Sliding windows: in a layer with window W, a row at position q sees a key at position k only if k > q - W.
//
// Positions rise by one inside a segment, so for one row the keys of a piece that are in its window are those from a
// first one on. That is arithmetic: nothing is stored per key, and no mask is made. The plan says who sees what, the
// window only takes away: keys of other branches stay unseen however near they are, and keys at positions behind the
// row's own, which joined branches may have, stay seen. A row always sees itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <anabranch/error.hpp>
#include <anabranch/mask/pieces.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// For each row of each piece the offset of the first token that the row sees. A row is at the position of the last
/// token that it sees, which in plans of a cache is its own.
class WindowStarts {
 public:
  /// `window` 0: none, and nothing is computed. Throws bad_argument for a negative one, and for views of one segment
  /// that say different positions. O(rows of all pieces). Allocates nothing once the buffers have grown.
  void build(const PieceList& list, std::int32_t window);

  bool empty() const noexcept { return starts_.empty(); }
  /// [row_end - row_begin]: row i of the piece sees tokens [starts[i], limits[i]), none where that is empty. Empty
  /// without a window: then rows see from `piece.begin` on.
  std::span<const std::int32_t> starts(const Piece& piece) const noexcept {
    if (starts_.empty()) return {};
    const auto first = starts_.begin() + piece.first_limit;
    return {first, first + (piece.row_end - piece.row_begin)};
  }

 private:
  IndexedVector<std::int32_t, std::int32_t> starts_;     ///< in the order of the list's limits
  IndexedVector<std::int64_t, RowIndex> row_positions_;  ///< [n_rows]
};

inline void WindowStarts::build(const PieceList& list, std::int32_t window) {
  if (window < 0) fail(Status::bad_argument, "window is ", window, ", must be 0 (none) or more");
  starts_.clear();
  if (window == 0) return;
  if (list.torn_piece() != kNoIndex)
    fail(Status::bad_argument, "views of segment ", list.pieces()[list.torn_piece()].segment,
         " differ in first_position, by which the window finds its keys");
  row_positions_.assign(list.n_rows(), 0);
  const auto for_each_row = [&list](auto&& visit) {
    for (const Piece& piece : list.pieces()) {
      const std::span<const std::int32_t> limits = list.limits(piece);
      for (std::size_t i = 0; i < limits.size(); ++i)
        visit(piece, piece.row_begin + static_cast<RowIndex>(i), limits.begin()[static_cast<std::ptrdiff_t>(i)]);
    }
  };
  for_each_row([this](const Piece& piece, RowIndex row, std::int32_t limit) {
    if (limit > piece.begin) row_positions_[row] = std::int64_t{piece.first_position} + limit - 1;
  });
  for_each_row([this, window](const Piece& piece, RowIndex row, std::int32_t limit) {
    const std::int64_t first = row_positions_[row] - window + 1 - piece.first_position;
    starts_.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(first, piece.begin, limit)));
  });
}

}  // namespace anabranch
