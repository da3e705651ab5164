// Replay: what a branch's sequence went through, noted so that it can be done again after the cache has lost it.
//
// A request that is preempted loses its sequences. What had been done to them becomes operations again, in front of
// those that were still to be done, and the next passes build the same tree. The rows of a replay are known, so a pass
// takes as many as it may, of all branches at once.
//
// The same numbers have to come out, bit for bit. A row's attention depends on the segments of its history, and these
// depend on where passes ended in two places only: a rewind cuts a segment, which the commit makes whole again, and a
// commit puts what follows a join into the segment of the last branch, if no other branch of the block wrote anything.
// What one pass did there stands between two pauses, and is done again by one pass.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/decode/impl/request_state.hpp>

namespace anabranch::impl {

inline bool cuts_segments(const Operation& op) noexcept {
  return op.kind == Operation::Kind::rewind || op.kind == Operation::Kind::join;
}

/// Tokens of its own that the sequence of a branch holds. REQUIRES: the request keeps the log.
template <class State>
std::int64_t n_held_tokens(const BranchState<State>& branch) noexcept {
  auto n = static_cast<std::int64_t>(branch.log.tokens.size());
  for (const FedMark& mark : branch.log.marks.all())
    if (mark.kind == Operation::Kind::rewind) n -= mark.count;
  return n;
}

/// Whether the segment of what follows the join of a block may become one with a branch's.
template <class State>
bool may_merge(const RequestState<State>& request, const Block& block) noexcept {
  std::int32_t n_written = 0;
  for (BranchIndex i = block.first; i < block.end(); ++i)
    if (n_held_tokens(request.branch(i)) > 0) ++n_written;
  return n_written < 2;
}

template <class State>
void add_mark(BranchState<State>& branch, const FedMark& mark) {
  branch.log.marks.push_back({branch.log.tokens.size(), mark.kind, mark.count, mark.block});
}

/// Notes what the planned step does to the sequence of a branch. REQUIRES: those of the branches inside it are noted,
/// and nothing is struck off yet.
template <class State>
void log_planned(const RequestState<State>& request, BranchState<State>& branch) {
  using Kind = Operation::Kind;
  const auto done = std::span<const Operation>(branch.operations).first(branch.n_planned);
  const bool is_whole = std::any_of(done.begin(), done.end(), [&](const Operation& op) {
    return op.kind == Kind::rewind || (op.kind == Kind::join && may_merge(request, request.block(op.block)));
  });
  if (is_whole) add_mark(branch, {0, Kind::pause, 1, {}});
  for (const Operation& op : done) {
    if (op.kind == Kind::feed) branch.log.tokens.append(op.to_feed());
    if (op.kind != Kind::feed && op.kind != Kind::pause) add_mark(branch, {0, op.kind, op.count, op.block});
  }
  if (branch.n_planned_tokens > 0)
    branch.log.tokens.append(branch.operations[branch.n_planned].to_feed().first(branch.n_planned_tokens));
  if (is_whole) add_mark(branch, {0, Kind::pause, 0, {}});
}

/// The operations that a log stands for, and a pause where those that follow may not be of the same pass.
template <class State>
std::vector<Operation> repeated_operations(const BranchState<State>& branch) {
  using Kind = Operation::Kind;
  std::vector<Operation> operations;
  std::size_t n_fed = 0;
  const auto feed_to = [&](std::size_t n) {
    if (n == n_fed) return;
    operations.emplace_back(Kind::feed);
    operations.back().tokens.append(branch.log.tokens.all().subspan(n_fed, n - n_fed));
    n_fed = n;
  };
  for (const FedMark& mark : branch.log.marks.all()) {
    feed_to(mark.n_tokens);
    operations.emplace_back(mark.kind, mark.count);
    operations.back().block = mark.block;
  }
  feed_to(branch.log.tokens.size());
  const bool cuts = std::any_of(branch.operations.begin(), branch.operations.end(), cuts_segments);
  if (cuts && !operations.empty()) operations.emplace_back(Kind::pause);
  for (Operation& op : operations) op.is_repeated = true;
  return operations;
}

/// The branch's sequence is gone from the cache: all that was done to it is to be done again.
template <class State>
void repeat(BranchState<State>& branch) {
  std::vector<Operation> operations = repeated_operations(branch);
  for (Operation& op : branch.operations) operations.push_back(std::move(op));
  branch.operations = std::move(operations);
  branch.log = {};
  branch.forked_block = kNoIndex;
  branch.n_held = branch.n_planned_hold = 0;
  branch.n_planned = branch.n_planned_tokens = 0;
}

/// The sequences of a request are gone from the cache, but for a trunk that holds its prefix. `budget` counts its
/// branches anew. Returns the sequences that it needs again.
template <class State, class Budget>
std::int32_t repeat(RequestState<State>& request, const Positions& positions, const Budget& budget) {
  for (BranchIndex i = 0; i < request.n_branches(); ++i) {
    BranchState<State>& branch = request.edit(i);
    repeat(branch);
    if (i != kTrunk || request.n_prefix == 0) branch.sequence = kNoSequence;
  }
  request.has_trunk = request.n_prefix > 0;
  request.recomputing = true;
  std::int32_t n_sequences = request.has_trunk ? 0 : 1;
  for (BlockIndex b(0); b < request.blocks.end_index(); ++b) {
    request.edit(b).ends = BlockEnds(positions, request.block(b).n);
    n_sequences += request.block(b).n;
  }
  request.turn = kTrunk;
  for (BranchIndex i = request.n_branches() - 1; i > kTrunk; --i) budget.count(request, i);
  return n_sequences;
}

}  // namespace anabranch::impl
