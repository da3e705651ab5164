// PositionBudget: where a branch will be once it and everything inside it are closed, and whether that still fits.
//
// Every branch keeps positions free for the tokens that end it, and every waiting branch for those that are forced
// after its join. Under `sequential` siblings share one supply of positions, so each token is allowed by itself, in the
// order in which branches are served.
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
  /// are allowed to sample.
  WidePosition end_of(const Request& request, const BranchState& branch) const {
    WidePosition next = next_in_cache(branch);
    if (branch.forked_block != kNoIndex) next = after_block(request, next, request.block(branch.forked_block));
    for (const Operation& op : branch.operations) {
      if (op.kind == Operation::Kind::feed) next += std::ssize(op.tokens);
      if (op.kind == Operation::Kind::rewind) next -= op.count;
      if (op.kind != Operation::Kind::fork || next > kUnlimited) continue;
      const Block& block = request.block(op.block);
      next = after_block(request, positions_->after_fork(static_cast<Position>(next), block.n), block);
    }
    return next + n_kept_free(branch);
  }

  /// Position of the branch's next token: `end_of` without the positions that are only kept free.
  WidePosition next_of(const Request& request, const BranchState& branch) const {
    return end_of(request, branch) - n_kept_free(branch);
  }

  /// Does the branch fit, and everything that it is a part of?
  bool fits(const Request& request, BranchIndex index) const {
    for (BranchIndex i = index; i != kNone; i = request.branch(i).parent)
      if (end_of(request, request.branch(i)) > request.branch(i).limit) return false;
    return true;
  }

 private:
  static WidePosition n_kept_free(const BranchState& branch) noexcept {
    const WidePosition n_rejoining = branch.phase == Phase::waiting ? branch.n_rejoining : 0;
    return n_rejoining + branch.n_allowed + branch.n_closing;
  }

  WidePosition next_in_cache(const BranchState& branch) const {
    return cache_->alive(branch.sequence) ? cache_->next_position(branch.sequence) : branch.start;
  }

  /// Where the parent goes on once the block is joined; `next` is its position after the fork.
  WidePosition after_block(const Request& request, WidePosition next, const Block& block) const {
    for (BranchIndex i = block.first; i < block.end() && next <= kUnlimited; ++i) {
      const BranchState& child = request.branch(i);
      next = positions_->after_join(static_cast<Position>(next), child.start)(end_of(request, child));
    }
    return next;
  }

  const Cache* cache_;
  const Positions* positions_;
};

}  // namespace anabranch::impl
