// The keys that the rows of a pass see, segment by segment, instead of group by group.
//
// Groups cut a segment wherever the rows beside each other differ; kernels must not, or neighbours would change a row's
// sums. So views of one segment that follow one another on a row's path are put together again: a piece is all tokens
// of a segment that an interval of rows sees, each row up to a limit of its own. Plain C++.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/mask/visibility.hpp>
#include <anabranch/types.hpp>

namespace anabranch::attention {

/// Tokens [begin, limit of the row) of one segment, seen by rows [row_begin, row_end).
struct Piece {
  RowIndex row_begin = 0;
  RowIndex row_end = 0;
  std::uint64_t segment = 0;
  std::int32_t begin = 0;        ///< offset inside the segment of the first token seen; 0 but for plans made by hand
  std::int32_t end = 0;          ///< the largest limit
  std::int32_t shortest = 0;     ///< the smallest limit
  std::int32_t first_limit = 0;  ///< limits of its rows: PieceList::limits from here on, row_end - row_begin entries
  std::int32_t first_run = 0;    ///< its slot runs: PieceList::runs [first_run, last_run), offsets in the segment
  std::int32_t last_run = 0;
};

class PieceList {
 public:
  /// Throws bad_argument, see BranchAttention::plan. O(rows + runs) in all but contrived plans.
  void build(std::span<const VisibilityGroup> groups, std::span<const View> views, std::int32_t n_rows);

  const std::vector<Piece>& pieces() const noexcept { return pieces_; }
  std::span<const std::int32_t> limits(const Piece& piece) const noexcept {
    return {limits_.data() + piece.first_limit, static_cast<std::size_t>(piece.row_end - piece.row_begin)};
  }
  std::span<const SlotRun> runs(const Piece& piece) const noexcept {
    return {runs_.data() + piece.first_run, static_cast<std::size_t>(piece.last_run - piece.first_run)};
  }
  Slot highest_slot() const noexcept { return highest_slot_; }
  std::int32_t n_rows() const noexcept { return n_rows_; }

 private:
  void add_view(const VisibilityGroup& group, const View& view, std::int32_t first_token, std::int32_t n_hidden);
  std::int32_t piece_that_goes_on(const VisibilityGroup& group, const View& view) const;
  std::int32_t open_piece(const VisibilityGroup& group, const View& view);
  void add_runs(Piece& piece, const View& view);

  std::vector<Piece> pieces_;
  std::vector<std::int32_t> limits_;
  std::vector<SlotRun> runs_;
  std::vector<std::int32_t> last_piece_;  ///< per row: the piece it saw last, or kNone
  Slot highest_slot_ = kNoSlot;
  std::int32_t n_rows_ = 0;
};

}  // namespace anabranch::attention
