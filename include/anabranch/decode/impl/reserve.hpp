// Positions: where a sequence will be once it and all its branches are closed, and whether that still fits.
//
// Every branch keeps positions free for what ends it, every waiting sequence for what is forced after its join. Under
// `sequential` siblings share one supply, so growth is granted token by token, in the order in which sequences are
// served.
#pragma once

#include <algorithm>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/impl/branch_state.hpp>

namespace anabranch::impl {

template <class Cache, class State>
class Reserve {
 public:
  using BranchT = BranchState<State>;
  using RequestT = Request<State>;
  Reserve(const Cache& cache, const Positions& positions) : cache_(&cache), positions_(&positions) {}

  /// First position that a sequence will not need, if it and its branches are closed after what is granted.
  WidePosition end_of(const RequestT& r, const BranchT& t) const {
    WidePosition next = now(t);
    if (t.forked_block != kNone) next = after_block(r, next, t.forked_block);
    for (const Operation& op : t.operations) {
      if (op.kind == Operation::Kind::feed) next += static_cast<WidePosition>(op.tokens.size());
      if (op.kind == Operation::Kind::rewind) next -= op.count;
      if (op.kind != Operation::Kind::fork || next > kUnlimited) continue;
      next = after_block(r, positions_->after_fork(static_cast<Position>(next), r.block(op.count).n), op.count);
    }
    return next + (t.phase == Phase::waiting ? t.n_rejoining : 0) + t.n_granted + t.n_closing;
  }

  /// The same without anything that is only kept free: where the sequence's next token will be.
  WidePosition next_of(const RequestT& r, const BranchT& t) const {
    return end_of(r, t) - (t.phase == Phase::waiting ? t.n_rejoining : 0) - t.n_granted - t.n_closing;
  }

  /// Does the sequence fit, and everything that it is a part of?
  bool fits(const RequestT& r, BranchIndex index) const {
    for (BranchIndex i = index; i != kNone; i = r.branch(i).parent)
      if (end_of(r, r.branch(i)) > r.branch(i).limit) return false;
    return true;
  }

 private:
  WidePosition now(const BranchT& t) const {
    return cache_->alive(t.sequence) ? cache_->next_position(t.sequence) : t.start;
  }

  /// Where the parent goes on once the block is joined; `next` is its position after the fork.
  WidePosition after_block(const RequestT& r, WidePosition next, std::int32_t block) const {
    const Block& b = r.block(block);
    for (std::int32_t k = 0; k < b.n && next <= kUnlimited; ++k) {
      const BranchT& child = r.branch(b.first + k);
      next = positions_->after_join(static_cast<Position>(next), child.start)(end_of(r, child));
    }
    return next;
  }

  const Cache* cache_;
  const Positions* positions_;
};

}  // namespace anabranch::impl
