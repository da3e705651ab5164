// RequestState: the decoder's record of one request: its options, its branches, its blocks.
//
// Whatever may fail while a decision is taken works on a copy of the request (request_transaction.hpp). Copies share a
// branch until one of them edits it, so a copy costs what the pass changes and not what the request has written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/decode/impl/block_ends.hpp>
#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/pool/indexed_vector.hpp>

namespace anabranch::impl {

/// The branches of one fork: [first, first + n).
struct Block {
  BranchIndex first = 0;
  std::int32_t n = 0;
  std::int32_t n_open = 0;  ///< have not ended yet
  BlockEnds ends;           ///< see position_budget.hpp
  BranchIndex end() const noexcept { return first + n; }
};

/// References to branches stay valid while branches are added; one from `branch` is not to be held across an `edit` of
/// the same branch.
template <class State>
struct RequestState {
  RequestId id = kNoRequest;
  std::shared_ptr<const RequestOptions> options;  ///< with every limit filled in
  IndexedVector<std::shared_ptr<BranchState<State>>, BranchIndex> branches;
  IndexedVector<Block, BlockIndex> blocks;
  std::int32_t n_allowed = 0;  ///< tokens that the next pass may sample
  BranchIndex turn = kTrunk;   ///< the branch that is being served; see PositionBudget::turn_to
  bool prefilling = true;      ///< part of the prompt has not been fed by a committed pass
  TokenId last_prompt_token = kUnknownToken;
  bool active = true;
  bool history_kept = true;  ///< its sequences are in the cache, or can be made
  bool released = false;
  bool in_pass = false;  ///< has rows in the planned pass
  bool prefill_in_pass = false;
  EndReason reason = EndReason::none;
  Statistics statistics;

  /// The trunk counts.
  std::int32_t n_branches() const noexcept { return branches.size(); }
  const BranchState<State>& trunk() const { return *branches.front(); }
  const BranchState<State>& branch(BranchIndex i) const { return *branches[i]; }
  /// The branch to be changed, copied first when another request has it too. Without a copy it never fails.
  BranchState<State>& edit(BranchIndex i) {
    std::shared_ptr<BranchState<State>>& branch = branches[i];
    if (branch.use_count() > 1) branch = std::make_shared<BranchState<State>>(*branch);
    return *branch;
  }
  /// Its sequences belong to another request now.
  void release_sequences() noexcept {
    history_kept = false;
    for (const auto& branch : branches) branch->sequence = kNoSequence;
  }
  Block& block(BlockIndex i) { return blocks[i]; }
  const Block& block(BlockIndex i) const { return blocks[i]; }
};

}  // namespace anabranch::impl
