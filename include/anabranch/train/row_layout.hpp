// Positions and visibility of a branched text that is written down flat: branch 1 whole, branch 2 whole, and so on.
//
// Decoding finds the same numbers step by step (DESIGN: positions and visibility); training needs them for a finished
// text at once. A serial token sees everything before it. A branch token sees what its fork point sees and its own
// branch, never a sibling; nested blocks follow the same rule.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/tree/positions.hpp>
#include <anabranch/types.hpp>

namespace anabranch::train {

/// Half-open interval of flat token indices.
struct Interval {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// Tokens [begin, end) in a row of one line: token q sees `before` and [own_begin, q + 1).
struct VisibleRun {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t own_begin = 0;    ///< where the line starts; blocks that it joined lie behind it
  std::vector<Interval> before;  ///< ascending, disjoint, ending at or before own_begin
};

/// Built like the text is written: append, fork, then begin_branch ... end_branch for each child, join.
class RowLayout {
 public:
  RowLayout() { lines_.emplace_back(); }

  std::int32_t n_tokens() const noexcept { return static_cast<std::int32_t>(positions_.size()); }
  /// [n_tokens]
  const std::vector<Position>& positions() const noexcept { return positions_; }
  /// Covers all tokens, ascending.
  const std::vector<VisibleRun>& runs() const noexcept { return runs_; }
  /// Whether token q sees [0, q + 1) and nothing else, for all q.
  bool is_causal() const noexcept;
  /// The tokens that token q sees, as merged ranges.
  std::vector<Interval> visible(std::int32_t q) const;

  /// A token of the current line. Throws out_of_range where a reserved range ends.
  void append();
  /// A block of n branches on the current line. Throws bad_argument for a policy that gives no positions by itself.
  void fork(std::int32_t n_branches, Positions positions);
  void begin_branch();
  void end_branch();
  /// The block's branches are complete; its line goes on.
  void join();

 private:
  struct Line {
    std::int32_t own_begin = 0;
    std::vector<Interval> before;
    WidePosition start = 0;  ///< first position
    WidePosition next = 0;
    WidePosition end = kUnlimited;  ///< first position refused
    // The open block, if n_branches > 0:
    Positions policy = Positions::sequential;
    std::int32_t n_branches = 0;
    std::int32_t n_begun = 0;
    std::int32_t block_begin = 0;  ///< flat index of the block's first token
    WidePosition fork_next = 0;    ///< `next` before the fork
  };
  void check(bool holds, const char* text) const;

  std::vector<Line> lines_;  ///< the trunk and the open branches down to the current one
  std::vector<Position> positions_;
  std::vector<VisibleRun> runs_;
  bool new_run_ = true;  ///< the next token starts a run
};

/// mask[q * n + k] = sees where token q sees token k, else hides; [n, n]. REQUIRES: mask has n * n places.
void fill_mask(std::span<const VisibleRun> runs, std::int32_t n, float sees, float hides, std::span<float> mask);

}  // namespace anabranch::train
