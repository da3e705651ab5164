// The keys that the rows of a pass see, segment by segment instead of group by group.
//
// Groups cut a segment wherever rows that stand side by side differ. Kernels must not cut there, or a row's sums would
// depend on its neighbours. So views of one segment that follow one another on a row's path become one piece: all
// tokens of a segment that some rows see, each row up to a limit of its own. Where a row's pieces begin and end depends
// on the row's own history only, however its keys are grouped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <anabranch/mask/check_groups.hpp>
#include <anabranch/mask/visibility.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Tokens [begin, limit of the row) of one segment, seen by rows [row_begin, row_end).
struct Piece {
  RowIndex row_begin = 0;
  RowIndex row_end = 0;
  std::uint64_t segment = 0;
  std::int32_t begin = 0;        ///< offset inside the segment of the first token seen; 0 but for plans made by hand
  std::int32_t end = 0;          ///< the largest limit
  std::int32_t shortest = 0;     ///< the smallest limit; `begin` where a row sees nothing of the piece
  std::int32_t first_limit = 0;  ///< index of its first row's limit among the limits of all pieces
  std::int32_t first_run = 0;    ///< its slot runs are [first_run, last_run) of the runs of all pieces
  std::int32_t last_run = 0;
  Position first_position = 0;  ///< of the segment's token 0; token i has first_position + i
};

class PieceList {
 public:
  /// Throws what GroupCheck throws; the list is then undefined. O(rows of all groups + runs) in all but contrived
  /// plans. Allocates nothing once the buffers have grown.
  void build(std::span<const VisibilityGroup> groups, std::span<const View> views, const PassSize& size);

  /// For every row in history order.
  const IndexedVector<Piece, Index<Piece>>& pieces() const noexcept { return pieces_; }
  /// [row_end - row_begin]: row i of the piece sees tokens [piece.begin, limits[i]).
  std::span<const std::int32_t> limits(const Piece& piece) const noexcept {
    const auto first = limits_.begin() + piece.first_limit;
    return {first, first + (piece.row_end - piece.row_begin)};
  }
  std::int32_t n_limits() const noexcept { return limits_.size(); }  ///< of all pieces
  /// The slots of tokens [piece.begin, piece.end) and perhaps of some more, as few runs as there can be; offsets are in
  /// the segment.
  std::span<const SlotRun> runs(const Piece& piece) const noexcept {
    return {runs_.begin() + piece.first_run, runs_.begin() + piece.last_run};
  }
  Slot highest_slot() const noexcept { return highest_slot_; }
  /// A piece whose views say different positions of their segment's token 0, or none: only plans made by hand have one.
  Index<Piece> torn_piece() const noexcept { return torn_piece_; }
  std::int32_t n_rows() const noexcept { return n_rows_; }

 private:
  struct Keys;
  void add_view(const Keys& keys, const View& view);
  Index<Piece> continued_piece(RowIndex row, const View& view) const;
  Index<Piece> open_piece(RowIndex row_begin, RowIndex row_end, const View& view);
  void set_limits(const Keys& keys, const View& view, RowIndex row_begin, RowIndex row_end);
  void add_runs(Piece& piece, const View& view);

  GroupCheck check_;
  IndexedVector<Piece, Index<Piece>> pieces_;
  IndexedVector<std::int32_t, std::int32_t> limits_;
  IndexedVector<SlotRun, std::int32_t> runs_;
  IndexedVector<Index<Piece>, RowIndex> last_piece_;  ///< [n_rows]: the piece that the row saw last, or none
  Slot highest_slot_ = kNoSlot;
  Index<Piece> torn_piece_;
  std::int32_t n_rows_ = 0;
};

}  // namespace anabranch

#include <anabranch/mask/impl/pieces.hpp>
