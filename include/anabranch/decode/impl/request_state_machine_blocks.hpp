// RequestStateMachine: forks, ends of branches, joins, and the end of a request.
#pragma once

#include <algorithm>

#include <anabranch/decode/impl/request_state_machine.hpp>

namespace anabranch::impl {

/// A refused fork is a block without branches: the markup goes on as after a join.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::fork(RequestT& r, BranchT& t, std::vector<markup::Seed> seeds) {
  if (seeds.empty()) return refuse(r, t, EndReason::none);
  const bool samples_from_parent =
      std::any_of(seeds.begin(), seeds.end(), [](const markup::Seed& seed) { return seed.prefix.empty(); });
  if (samples_from_parent && !make_row(r, t)) return close(r, EndReason::malformed);
  const EndReason denied = add_block(r, t, seeds);
  if (denied != EndReason::none) return refuse(r, t, denied);

  const std::int32_t block = t.block;
  const BranchIndex first = r.block(block).first;
  Event& event = emit(Event::Kind::fork, r, t);
  event.text = keep_text(t, t.text.flush());
  event.first_branch = first;
  event.n_branches = r.block(block).n;
  for (std::size_t k = 0; k < seeds.size(); ++k) {
    std::string& title = r.edit(first + static_cast<BranchIndex>(k)).title;
    if (!seeds[k].title.empty()) text_(std::span<const TokenId>(seeds[k].title), title);
    event.titles.push_back(title);
  }
  t.parts.back().block = block;
  ++r.statistics.n_blocks;
  r.statistics.n_branches += event.n_branches;

  ++r.block(block).n_open;  // so that the block does not end before all its branches have started
  for (std::size_t k = 0; k < seeds.size() && r.active; ++k)
    start_child(r, r.edit(first + static_cast<BranchIndex>(k)), seeds[k].prefix);
  if (!r.active) return;
  if (--r.block(block).n_open == 0) resume(r, t);
}

/// Makes the block and its branches; or, with nothing changed, why not.
template <class Cache, Markup M, Detokenizer Text>
EndReason RequestStateMachine<Cache, M, Text>::add_block(RequestT& r, BranchT& t,
                                                         const std::vector<markup::Seed>& seeds) {
  const auto n = static_cast<std::int32_t>(seeds.size());
  const auto depth = static_cast<std::int32_t>(t.path.size());
  const auto& limits = cache_->options();
  if (depth >= std::min(options_.max_depth, limits.max_depth)) return EndReason::limit;
  if (n > limits.max_sequences - cache_->n_sequences() - n_sequences_due_()) return EndReason::limit;

  const auto block = static_cast<std::int32_t>(r.blocks.size());
  const auto first = static_cast<BranchIndex>(r.branches.size());
  r.blocks.push_back({first, n, n});
  for (std::int32_t k = 0; k < n; ++k) add_child(r, t, k);
  t.operations.push_back({Operation::Kind::fork, {}, block});
  t.block = block;
  t.phase = Phase::waiting;
  State after = t.state;
  t.n_rejoining = static_cast<std::int32_t>(markup_.joined(after).forced.size());
  bool fits = true;
  for (BranchIndex i = first; i < first + n; ++i) fits = fits && reserve_.fits(r, i);
  if (fits) {
    ++t.n_blocks;
    return EndReason::none;
  }
  r.blocks.pop_back();
  r.branches.erase(r.branches.begin() + first, r.branches.end());
  t.operations.pop_back();
  t.block = kNone;
  t.phase = Phase::running;
  t.n_rejoining = 0;
  return EndReason::range;
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::add_child(RequestT& r, BranchT& parent, std::int32_t k) {
  const Positions& positions = options_.positions;
  const auto at = static_cast<Position>(std::min<WidePosition>(reserve_.next_of(r, parent), kUnlimited));
  BranchT child(markup_.child(parent.state, k));
  child.index = static_cast<BranchIndex>(r.branches.size());
  child.parent = parent.index;
  child.path = parent.path;
  child.path.push_back({parent.n_blocks, k});
  child.phase = Phase::queued;
  child.start = static_cast<Position>(std::min<WidePosition>(positions.start(at, k), kUnlimited));
  child.limit = std::min(parent.limit, positions.end(at, k));
  child.n_closing = static_cast<std::int32_t>(markup::Forced(markup_.closing(child.state)).size());
  child.stream = branch_stream(parent.stream, parent.n_blocks, k);
  child.seen = parent.seen.apart();
  child.n_inherited = child.n_settled = child.seen.size();
  r.branches.push_back(std::make_shared<BranchT>(std::move(child)));
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::start_child(RequestT& r, BranchT& t, const markup::Forced& prefix) {
  if (!force(r, t, prefix)) return close_sequence(r, t, EndReason::range);
  const EndReason denied = grant(r, t);
  if (denied != EndReason::none) return close_sequence(r, t, denied);
  if (prefix.empty()) t.phase = Phase::running;  // its parent's row is in the coming pass only: it cannot wait
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::refuse(RequestT& r, BranchT& t, EndReason reason) {
  Event& event = emit(Event::Kind::fork, r, t);
  event.text = keep_text(t, t.text.flush());
  event.reason = reason;
  Action action = markup_.joined(t.state);
  if (action.next == Action::Next::fork) return close(r, reason == EndReason::none ? EndReason::malformed : reason);
  apply(r, t, std::move(action), nullptr, EndReason::end_tag);
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::report_branch_end(RequestT& r, BranchT& t, EndReason reason) {
  t.phase = Phase::ended;
  t.reason = reason;
  t.n_closing = 0;
  Event& event = emit(Event::Kind::branch_end, r, t);
  event.text = keep_text(t, t.text.flush());
  event.reason = reason;
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::end_branch(RequestT& r, BranchT& t, EndReason reason) {
  report_branch_end(r, t, reason);
  BranchT& parent = r.edit(t.parent);
  if (--r.block(parent.block).n_open == 0) resume(r, parent);
}

/// All branches of the sequence's block have ended: they are joined in order.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::join(RequestT& r, BranchT& t) {
  const Block& block = r.block(t.block);
  t.operations.push_back({Operation::Kind::join, {}, t.block});
  Event& event = emit(Event::Kind::join, r, t);
  event.first_branch = block.first;
  event.n_branches = block.n;
  for (std::int32_t k = 0; k < block.n; ++k) {
    const BranchT& child = r.branch(block.first + k);
    t.seen.append(child.seen.from(child.n_inherited));
  }
  t.n_settled = t.seen.size();
  t.n_rejoining = 0;
  t.block = kNone;
  t.phase = Phase::running;
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::resume(RequestT& r, BranchT& t) {
  const Block block = r.block(t.block);
  join(r, t);
  Action action = markup_.joined(t.state);
  bool sampled = false;
  for (BranchIndex i = block.first; i < block.first + block.n; ++i) sampled = sampled || r.branch(i).n_sampled > 0;
  if (!sampled && action.next == Action::Next::fork)  // it would fork for ever
    return close(r, r.branch(block.first).reason);
  apply(r, t, std::move(action), nullptr, EndReason::end_tag);
}

/// Places go in reading order, so that with one place a branch's own blocks come before its siblings. Branches without
/// a prefix may be more than there are places; then those wait that have a token to go on with, the last ones first.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::place(RequestT& r) {
  if (!r.active) return;
  std::vector<BranchIndex> queued, movable;
  std::int32_t n_running = 0;
  for (BranchIndex i = 1; i < static_cast<BranchIndex>(r.branches.size()); ++i) {
    const BranchT& t = r.branch(i);
    if (t.phase == Phase::queued) queued.push_back(i);
    if (t.phase != Phase::running) continue;
    ++n_running;
    if (!t.operations.empty()) movable.push_back(i);
  }
  const auto before = [&](BranchIndex a, BranchIndex b) { return reads_before(r.branch(a), r.branch(b)); };
  std::sort(queued.begin(), queued.end(), before);
  std::sort(movable.begin(), movable.end(), before);
  const std::int32_t n_places = r.options->max_parallel_branches;
  for (std::size_t k = 0; n_running < n_places && k < queued.size(); ++k, ++n_running)
    r.edit(queued[k]).phase = Phase::running;
  for (; n_running > n_places && !movable.empty(); movable.pop_back(), --n_running)
    r.edit(movable.back()).phase = Phase::queued;
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::close(RequestT& r, EndReason reason) {
  if (!r.active) return;
  r.active = false;
  close_tree(r, r.edit(kTrunk), reason);
  finish(r, reason);
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::abandon(RequestT& r, EndReason reason) {
  if (!r.active) return;
  r.active = false;
  r.history_kept = false;
  for (std::size_t i = r.branches.size(); i-- > 1;)
    if (const auto branch = static_cast<BranchIndex>(i); r.branch(branch).phase != Phase::ended)
      report_branch_end(r, r.edit(branch), reason);
  finish(r, reason);
}

/// What is left to feed stays in the operations: nothing is sampled any more, so no pass is spent on it; a request
/// that goes on with this history feeds it first.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::close_tree(RequestT& r, BranchT& t, EndReason reason) {
  if (t.phase == Phase::ended) return;
  t.n_granted = 0;
  if (t.block != kNone) {
    const Block block = r.block(t.block);
    for (BranchIndex i = block.first; i < block.first + block.n; ++i)
      if (r.branch(i).phase != Phase::ended) close_tree(r, r.edit(i), reason);
    join(r, t);
    force(r, t, markup_.joined(t.state).forced);
  }
  if (t.parent == kNone) return;
  t.n_closing = 0;
  force(r, t, markup_.closing(t.state));
  report_branch_end(r, t, reason);
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::finish(RequestT& r, EndReason reason) {
  r.reason = reason;
  r.n_granted = 0;
  BranchT& trunk = r.edit(kTrunk);
  trunk.phase = Phase::ended;
  trunk.reason = reason;
  trunk.n_granted = 0;
  r.statistics.ended_by_text = reason == EndReason::end_of_text;
  Event& event = emit(Event::Kind::end, r, trunk);
  event.text = keep_text(trunk, trunk.text.flush());
  event.reason = reason;
  event.statistics = r.statistics;
}

}  // namespace anabranch::impl
