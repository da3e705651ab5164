// BranchTree: sequences come, grow, fork and leave their parent.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
SequenceId BranchTree<Policy, PageSize>::create_sequence(Position first) {
  if (first < 0 || first >= limits_.max_position)
    fail(Status::out_of_range, "first position ", first, " is outside [0, ", limits_.max_position, ")");
  check_limits(kNone, 1);
  const std::int32_t sequence = new_sequence();
  State& s = at(sequence);
  s.next = s.start = first;
  s.limit = limits_.max_position;
  changed();
  return id(sequence);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::append(SequenceId id, std::span<const TokenId> tokens, std::int32_t n_unknown,
                                          Logits logits) {
  const std::int32_t sequence = find(id);
  const auto n = tokens.empty() ? n_unknown : static_cast<std::int32_t>(tokens.size());
  if (n < 0) fail(Status::bad_argument, "append of ", n, " tokens");
  if (n == 0) return;
  if (n > state(sequence).limit - state(sequence).next)
    fail(Status::out_of_range, "appending ", n, " tokens at position ", state(sequence).next,
         " passes the sequence's limit of ", state(sequence).limit);
  for (const TokenId token : tokens)
    if (token < 0) fail(Status::bad_argument, "token ", token, " is negative");
  touch(sequence);
  impl::reserve_more(staged_.tokens, tokens.size());
  impl::reserve_more(staged_.pieces, 1);
  reserve_restart(sequence);
  start_segment(sequence);
  restart(sequence);

  Segment& segment = history_.segment(state(sequence).open);
  StagedSegment& entry = staged_.segments[static_cast<std::size_t>(segment.staged)];
  const auto piece = static_cast<std::int32_t>(staged_.pieces.size());
  const std::int32_t first = tokens.empty() ? kNone : static_cast<std::int32_t>(staged_.tokens.size());
  staged_.pieces.push_back({segment.length, n, first, kNone, logits});
  staged_.tokens.insert(staged_.tokens.end(), tokens.begin(), tokens.end());
  (entry.last_piece == kNone ? entry.first_piece : staged_.pieces[static_cast<std::size_t>(entry.last_piece)].next) =
      piece;
  entry.last_piece = piece;
  segment.length += n;
  at(sequence).next += n;
}

/// The sequence writes a segment that is among the staged ones. Changes nothing that can be seen.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::start_segment(std::int32_t sequence) {
  impl::reserve_more(staged_.segments, 1);
  State& s = at(sequence);
  if (s.open == kNone) {
    const std::uint64_t ordinal = s.reserved_ordinal != 0 ? s.reserved_ordinal : history_.next_ordinal();
    const std::int32_t segment = history_.add_segment(s.next, ordinal, sequence);
    s.reserved_ordinal = 0;
    s.open = segment;
    changed();
  }
  Segment& segment = history_.segment(s.open);
  if (segment.staged != kNone) return;
  segment.staged = static_cast<std::int32_t>(staged_.segments.size());
  staged_.segments.push_back({s.open, segment.ordinal, s.head, sequence, kNone, kNone});
  history_.retain_node(s.head);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::request_logits(SequenceId id) {
  const std::int32_t sequence = find(id);
  const State& s = state(sequence);
  const bool own = s.open != kNone && history_.segment(s.open).length > 0;
  const std::int32_t segment = own ? s.open : s.head == kNone ? kNone : history_.node(s.head).segment;
  const std::int32_t last = own ? history_.segment(s.open).length : s.head == kNone ? 0 : history_.node(s.head).end;
  if (segment == kNone || last <= history_.segment(segment).committed)
    fail(Status::bad_argument, "logits of sequence ", sequence, ": its last token is not a row of this step");
  staged_.extra_outputs.push_back({sequence, segment, history_.segment(segment).ordinal, last - 1});
}

/// The segment that the sequence writes becomes part of its history.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::seal(std::int32_t sequence) {
  State& s = at(sequence);
  if (s.open == kNone) return;
  const Segment& segment = history_.segment(s.open);
  cut_open(sequence, segment.length);
}

/// The first `keep` tokens of what the sequence writes become a view, the rest is not seen by it any more.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::cut_open(std::int32_t sequence, std::int32_t keep) {
  State& s = at(sequence);
  if (keep > 0) {
    const Segment& segment = history_.segment(s.open);
    const NextRule rule{kNever, segment.first};
    s.head = history_.add_node(s.head, s.open, keep, segment.ordinal, rule, segment.first);
  }
  set_open(sequence, kNone);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::fork(SequenceId parent_id, std::span<SequenceId> children, const Policy& policy,
                                        std::span<const Position> starts) {
  const std::int32_t parent = find(parent_id);
  const auto n = static_cast<std::int32_t>(children.size());
  if (n == 0) fail(Status::bad_argument, "fork into 0 children; at least 1 is needed");
  if (!policy.valid()) fail(Status::bad_argument, "fork with a position policy whose numbers make no sense");
  if (policy.is_given() ? starts.size() != children.size() : !starts.empty())
    fail(Status::bad_argument, "fork into ", n, " children with ", starts.size(), " start positions");
  check_limits(parent, n);
  const Position p = state(parent).next;
  const WidePosition after = policy.after_fork(p, n);
  if (after > kUnlimited || policy.start(p, n - 1) > kUnlimited)
    fail(Status::out_of_range, "fork at position ", p, " reserves positions up to ", after, ", past ", kUnlimited);
  for (const Position start : starts)
    if (start < 0 || start > limits_.max_position)
      fail(Status::out_of_range, "start position ", start, " is outside [0, ", limits_.max_position, "]");
  touch(parent);
  if (state(parent).last_child != kNone) touch(state(parent).last_child);
  history_.reserve_nodes(1);
  sequences_.reserve(n);
  impl::reserve_more(log_, children.size());
  reserve_restart(parent);
  impl::reserve_more(staged_.ops_before, children.size() + 1);
  pool_->reserve_writers(sequences_.size() + n);

  restart(parent);
  seal(parent);
  for (std::int32_t k = 0; k < n; ++k) {
    const std::int32_t child = new_sequence();
    State& c = at(child);
    const State& from = state(parent);
    c.head = c.fork_node = from.head;
    history_.retain_node(c.head);
    c.fork_tokens = history_.n_tokens(c.head);
    c.start = c.next =
        policy.is_given() ? starts[static_cast<std::size_t>(k)] : static_cast<Position>(policy.start(p, k));
    c.limit = static_cast<Position>(std::min<WidePosition>(from.limit, policy.end(p, k)));
    c.policy = policy;
    c.reserved_ordinal = history_.next_ordinal();
    link_child(parent, child);
    children[static_cast<std::size_t>(k)] = id(child);
    staged_.ops_before.push_back({HostOp::Kind::share, id(child), parent_id, 0, p});
  }
  at(parent).next = static_cast<Position>(after);
  at(parent).reserved_ordinal = 0;  // what the parent writes from here on comes after its children
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::detach(SequenceId id) {
  const std::int32_t sequence = find(id);
  if (state(sequence).parent == kNone) fail(Status::not_a_child, "detach of sequence ", sequence, ", which is a root");
  touch(sequence);
  touch_siblings(sequence);
  unlink_child(sequence);
  State& s = at(sequence);
  s.fork_node = kNone;
  s.fork_tokens = 0;
  s.limit = limits_.max_position;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::hold(SequenceId id, std::int32_t n_slots) {
  const std::int32_t sequence = find(id);
  if (n_slots < 0 || n_slots > pool_->n_pages() * pool_->page_size())
    fail(Status::bad_argument, "hold of ", n_slots, " slots; the pool has ", pool_->n_pages() * pool_->page_size());
  touch(sequence);
  at(sequence).hold = n_slots;
}

}  // namespace anabranch
