// RequestStateMachine: forks, ends of branches, joins, admission, and the end of a request.
#pragma once

#include <algorithm>

#include <anabranch/decode/impl/request_state_machine.hpp>

namespace anabranch::impl {

/// A refused fork is a block without branches: the markup goes on as after a join.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::fork(Request& request, BranchState& branch, std::vector<markup::Seed> seeds) {
  if (seeds.empty()) return refuse(request, branch, EndReason::none);
  const bool samples_from_parent =
      std::any_of(seeds.begin(), seeds.end(), [](const markup::Seed& seed) { return seed.prefix.empty(); });
  if (samples_from_parent && !ensure_row(request, branch)) return close(request, EndReason::malformed);
  const EndReason denied = add_block(request, branch, seeds);
  if (denied != EndReason::none) return refuse(request, branch, denied);
  report_fork(request, branch, seeds);

  const BlockIndex block = branch.block;
  ++request.edit(block).n_open;  // so that the block does not end before all its branches have started
  BranchIndex child = request.block(block).first;
  for (const markup::Seed& seed : seeds) {
    start_child(request, request.edit(child++), seed.prefix);
    if (!request.active) return;
  }
  if (--request.edit(block).n_open == 0) resume(request, branch);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::report_fork(Request& request, BranchState& branch,
                                                      const std::vector<markup::Seed>& seeds) {
  const Block& block = request.block(branch.block);
  Event& event = emit(Event::Kind::fork, request, branch);
  event.text = keep_text(branch, branch.stream_of_text.flush());
  event.first_branch = block.first;
  event.n_branches = block.n;
  BranchIndex child = block.first;
  for (const markup::Seed& seed : seeds) {
    event.titles.push_back(text_of_title(text_, seed.title));
    request.edit(child++).title = event.titles.back();
  }
  branch.beginning = TextBeginning::passed();  // its first branch has taken it over
  branch.blocks.push_back({branch.tokens.size(), branch.text.size(), branch.block});
  ++request.statistics.n_blocks;
  request.statistics.n_branches += block.n;
}

/// Adds the block and its branches; or changes nothing and says why.
template <Markup M, Detokenizer Text, DecoderCache Cache>
EndReason RequestStateMachine<M, Text, Cache>::add_block(Request& request, BranchState& branch,
                                                         const std::vector<markup::Seed>& seeds) {
  const auto n = static_cast<std::int32_t>(seeds.size());
  const CacheOptions& limits = cache_->options();
  if (std::ssize(branch.path) >= std::min(options_.max_depth, limits.max_depth)) return EndReason::limit;
  if (n > n_sequences_left()) return EndReason::limit;

  const Block block{request.n_branches(), n, n, BlockEnds(options_.positions, n)};
  const BlockIndex index = request.blocks.push_back(block);
  for (std::int32_t k = 0; k < n; ++k) add_child(request, branch, index, k);
  branch.operations.emplace_back(Operation::Kind::fork, index);
  branch.block = index;
  branch.phase = Phase::waiting;
  State after = branch.state;
  branch.n_rejoining = static_cast<std::int32_t>(markup_.joined(after).forced.size());
  bool fits = true;
  for (BranchIndex i = block.first; i < block.end(); ++i) fits = fits && budget_.fits(request, i);
  if (fits) {
    ++branch.n_blocks;
    request.n_sequences_due += n;
    sequences_due_.n += n;
    return EndReason::none;
  }
  request.turn = branch.index;
  request.blocks.truncate(request.blocks.size() - 1);
  request.branches.truncate(block.first);
  branch.operations.pop_back();
  branch.block = kNoIndex;
  branch.phase = Phase::running;
  branch.n_rejoining = 0;
  return EndReason::range;
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::add_child(Request& request, const BranchState& parent, BlockIndex block,
                                                    std::int32_t k) {
  const auto clipped = [](WidePosition p) { return static_cast<Position>(std::min<WidePosition>(p, kUnlimited)); };
  const Positions& positions = options_.positions;
  const Position at = clipped(budget_.next_of(request, parent));
  BranchState child(markup_.child(parent.state, k));
  child.index = request.n_branches();
  child.parent = parent.index;
  child.own_block = block;
  child.path = parent.path;
  child.path.push_back({parent.n_blocks, k});
  child.phase = Phase::queued;
  child.start = clipped(positions.start(at, k));
  child.limit = std::min(parent.limit, positions.end(at, k));
  child.n_closing = n_closing_tokens(child.state);
  child.stream = branch_stream(parent.stream, parent.n_blocks, k);
  child.draft_records = parent.draft_records;
  child.n_seen_above = parent.seen.size();
  child.beginning = k == 0 ? parent.beginning : TextBeginning::passed();
  request.branches.push_back(std::make_shared<BranchState>(std::move(child)));
  budget_.count(request, request.n_branches() - 1);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::start_child(Request& request, BranchState& branch,
                                                      const markup::Forced& prefix) {
  budget_.turn_to(request, branch.index);
  if (!force(request, branch, prefix)) return close_branch(request, branch, EndReason::range);
  const EndReason denied = allow_token(request, branch);
  if (denied != EndReason::none) return close_branch(request, branch, denied);
  if (prefix.empty()) branch.phase = Phase::running;  // its parent's row is in the coming pass only: it cannot wait
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::refuse(Request& request, BranchState& branch, EndReason reason) {
  Event& event = emit(Event::Kind::fork, request, branch);
  event.text = keep_text(branch, branch.stream_of_text.flush());
  event.reason = reason;
  Action action = markup_.joined(branch.state);
  if (action.next == Action::Next::fork)
    return close(request, reason == EndReason::none ? EndReason::malformed : reason);
  apply(request, branch, std::move(action), nullptr, EndReason::end_tag);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::report_branch_end(Request& request, BranchState& branch, EndReason reason) {
  branch.phase = Phase::ended;
  branch.reason = reason;
  branch.n_closing = 0;
  branch.draft_memory.reset();
  Event& event = emit(Event::Kind::branch_end, request, branch);
  event.text = keep_text(branch, branch.stream_of_text.flush());
  event.reason = reason;
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::end_branch(Request& request, BranchState& branch, EndReason reason) {
  report_branch_end(request, branch, reason);
  BranchState& parent = request.edit(branch.parent);
  if (--request.edit(parent.block).n_open == 0) resume(request, parent);
}

/// Joins the block that the branch waits for. REQUIRES: all branches of the block have ended.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::join(Request& request, BranchState& branch) {
  const Block& block = request.block(branch.block);
  branch.operations.emplace_back(Operation::Kind::join, branch.block);
  Event& event = emit(Event::Kind::join, request, branch);
  event.first_branch = block.first;
  event.n_branches = block.n;
  for (BranchIndex i = block.first; request.keeps_seen && i < block.end(); ++i)
    branch.seen.append(request.branch(i).seen.all());
  branch.n_settled = branch.tokens.size();
  branch.n_rejoining = 0;
  branch.block = kNoIndex;
  branch.phase = Phase::running;
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::resume(Request& request, BranchState& branch) {
  const BranchIndex first = request.block(branch.block).first, end = request.block(branch.block).end();
  join(request, branch);
  Action action = markup_.joined(branch.state);
  bool sampled = false;
  for (BranchIndex i = first; i < end; ++i) sampled = sampled || request.branch(i).n_sampled > 0;
  if (!sampled && action.next == Action::Next::fork)  // it would fork for ever
    return close(request, request.branch(first).reason);
  apply(request, branch, std::move(action), nullptr, EndReason::end_tag);
}

/// Branches are admitted in reading order, so that with one at a time a branch's own blocks come before its siblings.
/// Branches without a prefix run at once and may be too many; then those that have a token to feed go back to the
/// queue, the last ones first.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::admit_branches(Request& request) {
  if (!request.active) return;
  std::vector<BranchIndex> queued, can_wait;
  std::int32_t n_running = 0;
  for_each_unjoined(request, [&](BranchIndex i) {
    const BranchState& branch = request.branch(i);
    if (branch.phase == Phase::queued) queued.push_back(i);
    if (branch.phase != Phase::running) return;
    ++n_running;
    if (!branch.operations.empty()) can_wait.push_back(i);
  });
  const std::int32_t n_most = request.options->max_parallel_branches;
  for (std::size_t k = 0; n_running < n_most && k < queued.size(); ++k, ++n_running)
    request.edit(queued[k]).phase = Phase::running;
  for (; n_running > n_most && !can_wait.empty(); can_wait.pop_back(), --n_running)
    request.edit(can_wait.back()).phase = Phase::queued;
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::close(Request& request, EndReason reason) {
  if (!request.active) return;
  request.active = false;
  close_tree(request, request.edit(kTrunk), reason);
  finish(request, reason);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::abandon(Request& request, EndReason reason) {
  if (!request.active) return;
  request.active = false;
  request.history_kept = false;
  std::vector<BranchIndex> open;
  for_each_unjoined(request, [&](BranchIndex i) {
    if (request.branch(i).phase != Phase::ended) open.push_back(i);
  });
  std::sort(open.begin(), open.end());  // the last forks first
  for (std::size_t k = open.size(); k-- > 0;) report_branch_end(request, request.edit(open[k]), reason);
  finish(request, reason);
}

/// Tokens that are still to be fed stay in the operations. Nothing is sampled any more, so no pass is spent on them; a
/// request that continues this history feeds them first.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::close_tree(Request& request, BranchState& branch, EndReason reason) {
  if (branch.phase == Phase::ended) return;
  budget_.turn_to(request, branch.index);
  branch.n_allowed = 0;
  if (branch.block != kNoIndex) {
    const BranchIndex first = request.block(branch.block).first, end = request.block(branch.block).end();
    for (BranchIndex i = first; i < end; ++i)
      if (request.branch(i).phase != Phase::ended) close_tree(request, request.edit(i), reason);
    join(request, branch);
    force(request, branch, markup_.joined(branch.state).forced);
  }
  if (branch.is_trunk()) return;
  branch.n_closing = 0;
  force(request, branch, markup_.closing(branch.state));
  report_branch_end(request, branch, reason);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::finish(Request& request, EndReason reason) {
  request.reason = reason;
  request.n_allowed = 0;
  sequences_due_.n -= std::exchange(request.n_sequences_due, 0);
  BranchState& trunk = request.edit(kTrunk);
  trunk.phase = Phase::ended;
  trunk.reason = reason;
  trunk.n_allowed = 0;
  trunk.draft_memory.reset();
  request.draft_memory.reset();
  request.statistics.ended_by_text = reason == EndReason::end_of_text;
  Event& event = emit(Event::Kind::end, request, trunk);
  event.text = keep_text(trunk, trunk.stream_of_text.flush());
  event.reason = reason;
  event.statistics = request.statistics;
}

}  // namespace anabranch::impl
