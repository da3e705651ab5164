// BlockEnds: where the branches of one block end, folded so that their parent's next position is one number away.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <anabranch/tree/positions.hpp>

namespace anabranch::impl {

/// Under `sequential` the extents of the branches add up, under `longest` the last end counts, and under `reserved`
/// none matters. A tree over the branches holds the folds: one branch that changes costs O(log branches), and ends that
/// fall are no worse than ends that grow.
class BlockEnds {
 public:
  BlockEnds() = default;
  /// Of n branches that add nothing so far.
  BlockEnds(const Positions& positions, std::int32_t n) : kind_(positions.kind) {
    if (kind_ != Positions::Kind::reserved) folds_.assign(2 * static_cast<std::size_t>(n), neutral());
  }

  /// Branch k of the block, which begins at `start`, ends at `end`. Nothing when the block has been cleared.
  void set(std::int32_t k, Position start, WidePosition end) noexcept {
    if (folds_.empty()) return;
    std::size_t i = folds_.size() / 2 + static_cast<std::size_t>(k);
    folds_[i] = kind_ == Positions::Kind::sequential ? end - start : end;
    for (i /= 2; i > 0; i /= 2) {
      const WidePosition fold = folded(folds_[2 * i], folds_[2 * i + 1]);
      if (folds_[i] == fold) return;
      folds_[i] = fold;
    }
  }
  /// Where the parent goes on once the block is joined; `next` is its position after the fork.
  WidePosition after(WidePosition next) const noexcept { return folds_.empty() ? next : folded(next, folds_[1]); }
  /// The block has been joined in the cache.
  void clear() noexcept { folds_ = {}; }

 private:
  WidePosition neutral() const noexcept { return kind_ == Positions::Kind::sequential ? 0 : kNever; }
  WidePosition folded(WidePosition a, WidePosition b) const noexcept {
    return kind_ == Positions::Kind::sequential ? a + b : std::max(a, b);
  }

  Positions::Kind kind_ = Positions::Kind::reserved;
  std::vector<WidePosition> folds_;  // [2 n]: node i folds 2 i and 2 i + 1; the branches are the last n; 1 folds all
};

}  // namespace anabranch::impl
