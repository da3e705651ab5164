// PositionBudget: where a branch will be once it and everything inside it are closed, and whether that still fits.
//
// Every branch keeps positions free for the tokens that end it, and every waiting branch for those that are forced
// after its join. Under `sequential` siblings share one supply of positions, so each token is allowed by itself, in the
// order in which branches are served. Each block knows where its branches end (block_ends.hpp), so that allowing a
// token looks at the branch and at those around it, not at its siblings.
#pragma once

#include <anabranch/decode/decoder_cache.hpp>
#include <anabranch/decode/impl/request_state.hpp>

namespace anabranch::impl {

template <class State, DecoderCache Cache>
class PositionBudget {
 public:
  using BranchState = impl::BranchState<State>;
  using Request = RequestState<State>;
  PositionBudget(const Cache& cache, const Positions& positions) : cache_(&cache), positions_(&positions) {}

  /// First position that a branch will not need, if it and the branches inside it are closed after the tokens that they
  /// are allowed to sample. O(operations of the branch): what is inside it has been counted.
  WidePosition end_of(const Request& request, const BranchState& branch) const {
    WidePosition next = next_in_cache(branch);
    if (branch.forked_block != kNoIndex) next = request.block(branch.forked_block).ends.after(next);
    for (const Operation& op : branch.operations) {
      if (op.kind == Operation::Kind::feed) next += std::ssize(op.to_feed());
      if (op.kind == Operation::Kind::rewind) next -= op.count;
      if (op.kind != Operation::Kind::fork || next > kUnlimited) continue;
      const Block& block = request.block(op.block);
      next = block.ends.after(positions_->after_fork(static_cast<Position>(next), block.n));
    }
    return next + n_kept_free(branch);
  }

  /// Position of the branch's next token: `end_of` without the positions that are only kept free.
  WidePosition next_of(const Request& request, const BranchState& branch) const {
    return end_of(request, branch) - n_kept_free(branch);
  }

  /// Says that branch `index` is about to change, or those that it is inside of. The one before it, which may have
  /// changed since it was counted, is counted now: of all branches only those two and the ones around them may differ
  /// from what was counted, so that nothing else needs to be looked at. O(depth * log(branches of a block)).
  void turn_to(Request& request, BranchIndex index) const {
    if (request.turn == index) return;
    for (BranchIndex i = request.turn; i != kNone; i = request.branch(i).parent) count(request, i);
    request.turn = index;
  }

  /// Does the branch fit, and everything that it is a part of?
  bool fits(Request& request, BranchIndex index) const {
    turn_to(request, index);
    bool all_fit = true;
    for (BranchIndex i = index; i != kNone; i = request.branch(i).parent)
      if (count(request, i) > request.branch(i).limit) all_fit = false;
    return all_fit;
  }

  /// Tells the block of a branch where it ends, and returns that.
  WidePosition count(Request& request, BranchIndex index) const {
    const BranchState& branch = request.branch(index);
    const WidePosition end = end_of(request, branch);
    if (branch.own_block != kNoIndex) {
      Block& block = request.edit(branch.own_block);
      block.ends.set(index - block.first, branch.start, end);
    }
    return end;
  }

 private:
  static WidePosition n_kept_free(const BranchState& branch) noexcept {
    const WidePosition n_rejoining = branch.phase == Phase::waiting ? branch.n_rejoining : 0;
    return n_rejoining + branch.n_allowed + branch.n_closing;
  }

  WidePosition next_in_cache(const BranchState& branch) const {
    return cache_->alive(branch.sequence) ? cache_->next_position(branch.sequence) : branch.start;
  }

  const Cache* cache_;
  const Positions* positions_;
};

}  // namespace anabranch::impl
