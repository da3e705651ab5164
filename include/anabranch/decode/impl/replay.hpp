// Replay: what a branch's sequence went through, noted so that it can be done again after the cache has lost it.
//
// A request that is preempted loses its sequences. What had been done to them becomes operations again, in front of
// those that were still to be done, and the next passes build the same tree. The rows of a replay are known, so a pass
// takes as many as it may, of all branches at once.
//
// The same numbers have to come out, bit for bit. A row's attention depends on the segments of its history, and these
// depend on where passes ended in two places only: a rewind cuts a segment, and so does a fork whose branches write
// nothing, until the commit makes it whole again. What one pass did there stands between two pauses, and is done again
// by one pass; and the branch is joined by a later one, however many passes a round takes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/decode/impl/request_state.hpp>

namespace anabranch::impl {

/// Whether a branch has tokens of its own, in its sequence or about to be. REQUIRES: the request keeps the log.
template <class State>
bool has_tokens(const BranchState<State>& branch) noexcept {
  auto n = static_cast<std::int64_t>(branch.log.tokens.size());
  for (const FedMark& mark : branch.log.marks.all()) n -= mark.kind == Operation::Kind::rewind ? mark.count : 0;
  for (const Operation& op : branch.operations) {
    n += std::ssize(op.to_feed());
    n -= op.kind == Operation::Kind::rewind ? op.count : 0;
  }
  return n > 0;
}

/// Whether an operation leaves a segment cut for as long as its pass lasts. REQUIRES: the request keeps the log.
template <class State>
bool cuts_segment(const RequestState<State>& request, const Operation& op) noexcept {
  if (op.kind == Operation::Kind::rewind) return true;
  if (op.kind != Operation::Kind::join) return false;
  const Block& block = request.block(op.block);
  for (BranchIndex i = block.first; i < block.end(); ++i)
    if (has_tokens(request.branch(i))) return false;
  return true;
}

/// The same for some operations of a branch: nothing is cut where nothing is fed.
template <class State>
bool cuts_segment(const RequestState<State>& request, std::span<const Operation> operations) noexcept {
  const auto feeds = [](const Operation& op) { return !op.to_feed().empty(); };
  const auto cuts = [&](const Operation& op) { return cuts_segment(request, op); };
  return std::any_of(operations.begin(), operations.end(), feeds) &&
         std::any_of(operations.begin(), operations.end(), cuts);
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
  const bool is_whole = cuts_segment(request, done);
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
std::vector<Operation> repeated_operations(const RequestState<State>& request, const BranchState<State>& branch) {
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
  const bool is_trunk = branch.is_trunk();  // which a prompt may follow
  const bool cuts = std::any_of(branch.operations.begin(), branch.operations.end(),
                                [&](const Operation& op) { return is_trunk && cuts_segment(request, op); });
  if (!operations.empty() && (cuts || cuts_segment(request, branch.operations))) operations.emplace_back(Kind::pause);
  for (Operation& op : operations) op.is_repeated = true;
  return operations;
}

/// The branch's sequence is gone from the cache: all that was done to it is to be done again.
template <class State>
void repeat(const RequestState<State>& request, BranchState<State>& branch) {
  std::vector<Operation> operations = repeated_operations(request, branch);
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
    repeat(request, branch);
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

/// The tokens of a hit are to be computed with the rest. Returns how many tokens that are, behind the prompt's blocks.
template <class State>
std::int32_t forget_hit(RequestState<State>& request, BranchState<State>& trunk) noexcept {
  trunk.start = request.n_structured > 0 ? request.prompt->items().back().position : 0;
  request.statistics.n_reused = 0;
  return std::max(std::exchange(request.n_prefix, 0) - request.n_structured, 0);
}

/// The trunk is gone from the cache, and with it what a prefix cache had of the prompt: that comes first again.
template <class State>
void repeat_hit(RequestState<State>& request) {
  BranchState<State>& trunk = request.edit(kTrunk);
  const std::int32_t n_linear = forget_hit(request, trunk);
  if (n_linear == 0) return;
  Operation prompt(Operation::Kind::feed);
  prompt.is_repeated = true;
  prompt.tokens.append(request.prompt->tokens().subspan(static_cast<std::size_t>(request.n_structured),
                                                        static_cast<std::size_t>(n_linear)));
  trunk.operations.insert(trunk.operations.begin(), std::move(prompt));
}

}  // namespace anabranch::impl
