// RequestState: the decoder's record of one request: its options, its branches, its blocks.
//
// Whatever may fail while a decision is taken works on a copy of the request (request_transaction.hpp). Copies share a
// branch until one of them edits it, so a copy costs what the pass changes and not what the request has written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/decode/impl/block_ends.hpp>
#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/decode/impl/prefix_use.hpp>
#include <anabranch/decode/impl/shared_table.hpp>

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
  std::shared_ptr<const RequestOptions> options;  ///< with every limit filled in, and the tokens of stop texts
  Sampling sampling;                              ///< of the options, with every number filled in
  SharedTable<std::shared_ptr<BranchState<State>>, BranchIndex> branches;
  SharedTable<Block, BlockIndex> blocks;
  std::int32_t n_allowed = 0;  ///< tokens that the next pass may sample
  BranchIndex turn = kTrunk;   ///< the branch that is being served; see PositionBudget::turn_to
  bool prefilling = true;      ///< part of the prompt has not been fed by a committed pass
  TokenId last_prompt_token = kUnknownToken;
  std::int32_t n_sequences_due = 0;  ///< that the next passes will create for it
  bool has_trunk = false;            ///< a committed pass has created the trunk's sequence
  bool shows_seen = false;           ///< an option, a hook or a sampler of the caller's own looks at what was seen
  bool keeps_seen = false;           ///< it does, or a DraftSource
  std::int32_t n_prefix = 0;         ///< tokens of RequestOptions::prefix at submit
  std::shared_ptr<const StructuredPrompt> prompt;  ///< all that comes before the answer; null: begins with a prefix
  std::shared_ptr<DraftMemory> draft_memory;       ///< of its tokens
  std::int32_t n_structured = 0;  ///< tokens of the prompt up to its last block: fed as they are, without operations
  std::int32_t n_transient = 0;   ///< sequences that feeding them takes, besides the trunk
  PrefixUse prefix_use;
  bool active = true;
  bool history_kept = true;  ///< its sequences are in the cache, or can be made
  bool released = false;
  bool keeps_log = false;    ///< DecoderOptions::preemptible
  bool recomputing = false;  ///< it was preempted, and the cache does not hold all again
  std::int32_t share =
      kNone;             ///< rows that it may have in the pass that is planned; kNone: as the decoder divides them
  bool in_pass = false;  ///< has rows in the planned pass
  bool prefill_in_pass = false;
  EndReason reason = EndReason::none;
  Statistics statistics;

  /// Its rows are tokens that are known already, many of them: they may come in parts, after the others' rows.
  bool is_filling() const noexcept { return prefilling || recomputing; }
  /// The trunk counts.
  std::int32_t n_branches() const noexcept { return branches.size(); }
  const BranchState<State>& trunk() const { return *branches[kTrunk]; }
  const BranchState<State>& branch(BranchIndex i) const { return *branches[i]; }
  /// The branch to be changed, copied first when another request has it too. Without a copy it never fails.
  BranchState<State>& edit(BranchIndex i) {
    std::shared_ptr<BranchState<State>>& branch = branches.edit(i);
    if (branch.use_count() > 1) branch = std::make_shared<BranchState<State>>(*branch);
    return *branch;
  }
  /// Its sequences belong to another request now.
  void release_sequences() noexcept {
    history_kept = false;
    for (BranchIndex i = 0; i < n_branches(); ++i) branches[i]->sequence = kNoSequence;
  }
  const Block& block(BlockIndex i) const { return blocks[i]; }
  /// The block to be changed; likewise.
  Block& edit(BlockIndex i) { return blocks.edit(i); }
};

/// Rows of the prompt's blocks that no prefix cache has: one pass computes them all.
template <class State>
std::int32_t n_rows_of_blocks(const RequestState<State>& request) noexcept {
  return std::max(request.n_structured - request.statistics.n_reused, 0);
}

/// Calls visit(BranchIndex) for the branches inside open blocks, a parent before its branches and siblings in order.
/// `enter_blocks(branch, enter)` calls enter(BlockIndex) for the open blocks of a branch. O(branches visited).
template <class State, class EnterBlocks, class Visit>
void for_each_inside(const RequestState<State>& request, EnterBlocks&& enter_blocks, Visit&& visit) {
  struct Range {
    BranchIndex next, end;
  };
  std::vector<Range> ranges;
  const auto enter = [&](BlockIndex block) {
    if (block != kNoIndex) ranges.push_back({request.block(block).first, request.block(block).end()});
  };
  enter_blocks(request.trunk(), enter);
  while (!ranges.empty()) {
    const BranchIndex i = ranges.back().next;
    if (i == ranges.back().end) {
      ranges.pop_back();
      continue;
    }
    ++ranges.back().next;
    visit(i);
    enter_blocks(request.branch(i), enter);
  }
}

/// The branches that wait for others, sample, or are queued, without the trunk, in reading order.
template <class State, class Visit>
void for_each_unjoined(const RequestState<State>& request, Visit&& visit) {
  for_each_inside(
      request, [](const BranchState<State>& branch, const auto& enter) { enter(branch.block); }, visit);
}

/// All that a step of the request holds: the trunk, and the branches that are forked and not joined in the cache, or
/// about to be forked.
template <class State, class Visit>
void for_each_in_cache(const RequestState<State>& request, Visit&& visit) {
  visit(kTrunk);
  for_each_inside(
      request,
      [](const BranchState<State>& branch, const auto& enter) {
        enter(branch.forked_block);
        for (const Operation& op : branch.operations)
          if (op.kind == Operation::Kind::fork) enter(op.block);
      },
      visit);
}

}  // namespace anabranch::impl
