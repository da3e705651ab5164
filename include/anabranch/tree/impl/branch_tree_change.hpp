// BranchTree: lines come, grow, fork and leave their parent.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
LineId BranchTree<Policy, PageSize>::create_line(Position first) {
  if (first < 0 || first >= limits_.max_position)
    fail(Status::out_of_range,
         "first position " + std::to_string(first) + " is outside [0, " + std::to_string(limits_.max_position) + ")");
  check_limits(kNone, 1);
  const std::int32_t line = new_line();
  State& s = at(line);
  s.next = s.start = first;
  s.limit = limits_.max_position;
  changed();
  return id(line);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::append(LineId id, std::span<const TokenId> tokens, std::int32_t n_unknown,
                                          Logits logits) {
  const std::int32_t line = find(id);
  const auto n = tokens.empty() ? n_unknown : static_cast<std::int32_t>(tokens.size());
  if (n < 0) fail(Status::bad_argument, "append of " + std::to_string(n) + " tokens");
  if (n == 0) return;
  if (n > state(line).limit - state(line).next)
    fail(Status::out_of_range, "appending " + std::to_string(n) + " tokens at position " +
                                   std::to_string(state(line).next) + " passes the line's limit of " +
                                   std::to_string(state(line).limit));
  for (const TokenId token : tokens)
    if (token < 0) fail(Status::bad_argument, "token " + std::to_string(token) + " is negative");
  touch(line);
  impl::reserve_more(staged_.tokens, tokens.size());
  impl::reserve_more(staged_.pieces, 1);
  reserve_restart(line);
  start_segment(line);
  restart(line);

  Segment& segment = history_.segment(state(line).open);
  StagedSegment& entry = staged_.segments[static_cast<std::size_t>(segment.staged)];
  const auto piece = static_cast<std::int32_t>(staged_.pieces.size());
  const std::int32_t first = tokens.empty() ? kNone : static_cast<std::int32_t>(staged_.tokens.size());
  staged_.pieces.push_back({segment.length, n, first, kNone, logits});
  staged_.tokens.insert(staged_.tokens.end(), tokens.begin(), tokens.end());
  (entry.last_piece == kNone ? entry.first_piece : staged_.pieces[static_cast<std::size_t>(entry.last_piece)].next) =
      piece;
  entry.last_piece = piece;
  segment.length += n;
  at(line).next += n;
}

/// The line writes a segment that is among the staged ones. Changes nothing that can be seen.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::start_segment(std::int32_t line) {
  impl::reserve_more(staged_.segments, 1);
  State& s = at(line);
  if (s.open == kNone) {
    const std::uint64_t sequence = s.first_sequence != 0 ? s.first_sequence : history_.next_sequence();
    const std::int32_t segment = history_.add_segment(s.next, sequence, line);
    s.first_sequence = 0;
    s.open = segment;
    changed();
  }
  Segment& segment = history_.segment(s.open);
  if (segment.staged != kNone) return;
  segment.staged = static_cast<std::int32_t>(staged_.segments.size());
  staged_.segments.push_back({s.open, segment.sequence, s.head, line, kNone, kNone});
  history_.retain_node(s.head);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::request_logits(LineId id) {
  const std::int32_t line = find(id);
  const State& s = state(line);
  const bool own = s.open != kNone && history_.segment(s.open).length > 0;
  const std::int32_t segment = own ? s.open : s.head == kNone ? kNone : history_.node(s.head).segment;
  const std::int32_t last = own ? history_.segment(s.open).length : s.head == kNone ? 0 : history_.node(s.head).end;
  if (segment == kNone || last <= history_.segment(segment).committed)
    fail(Status::bad_argument, "logits of line " + std::to_string(line) + ": its last token is not a row of this step");
  staged_.extra_outputs.push_back({line, segment, history_.segment(segment).sequence, last - 1});
}

/// What the line writes becomes part of its history.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::seal(std::int32_t line) {
  State& s = at(line);
  if (s.open == kNone) return;
  const Segment& segment = history_.segment(s.open);
  cut_open(line, segment.length);
}

/// The first `keep` tokens of what the line writes become a view, the rest is not seen by it any more.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::cut_open(std::int32_t line, std::int32_t keep) {
  State& s = at(line);
  if (keep > 0) {
    const Segment& segment = history_.segment(s.open);
    const NextRule rule{kNever, segment.first};
    s.head = history_.add_node(s.head, s.open, keep, segment.sequence, rule, segment.first);
  }
  set_open(line, kNone);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::fork(LineId parent_id, std::span<LineId> children, const Policy& policy,
                                        std::span<const Position> starts) {
  const std::int32_t parent = find(parent_id);
  const auto n = static_cast<std::int32_t>(children.size());
  if (n == 0) fail(Status::bad_argument, "fork into 0 children; at least 1 is needed");
  if (!policy.valid()) fail(Status::bad_argument, "fork with a position policy whose numbers make no sense");
  if (policy.is_given() ? starts.size() != children.size() : !starts.empty())
    fail(Status::bad_argument,
         "fork into " + std::to_string(n) + " children with " + std::to_string(starts.size()) + " start positions");
  check_limits(parent, n);
  const Position p = state(parent).next;
  const WidePosition after = policy.after_fork(p, n);
  if (after > kUnlimited || policy.start(p, n - 1) > kUnlimited)
    fail(Status::out_of_range, "fork at position " + std::to_string(p) + " reserves positions up to " +
                                   std::to_string(after) + ", past " + std::to_string(kUnlimited));
  for (const Position start : starts)
    if (start < 0 || start > limits_.max_position)
      fail(Status::out_of_range,
           "start position " + std::to_string(start) + " is outside [0, " + std::to_string(limits_.max_position) + "]");
  touch(parent);
  if (state(parent).last_child != kNone) touch(state(parent).last_child);
  history_.reserve_nodes(1);
  lines_.reserve(n);
  impl::reserve_more(log_, children.size());
  reserve_restart(parent);
  impl::reserve_more(staged_.ops_before, children.size() + 1);
  pool_->reserve_writers(lines_.size() + n);

  restart(parent);
  seal(parent);
  for (std::int32_t k = 0; k < n; ++k) {
    const std::int32_t child = new_line();
    State& c = at(child);
    const State& from = state(parent);
    c.head = c.fork_node = from.head;
    history_.retain_node(c.head);
    c.fork_tokens = history_.n_tokens(c.head);
    c.start = c.next =
        policy.is_given() ? starts[static_cast<std::size_t>(k)] : static_cast<Position>(policy.start(p, k));
    c.limit = static_cast<Position>(std::min<WidePosition>(from.limit, policy.end(p, k)));
    c.policy = policy;
    c.first_sequence = history_.next_sequence();
    link_child(parent, child);
    children[static_cast<std::size_t>(k)] = id(child);
    staged_.ops_before.push_back({SequenceOp::Kind::share, id(child), parent_id, 0, p});
  }
  at(parent).next = static_cast<Position>(after);
  at(parent).first_sequence = 0;  // what the parent writes from here on comes after its children
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::detach(LineId id) {
  const std::int32_t line = find(id);
  if (state(line).parent == kNone)
    fail(Status::not_a_child, "detach of line " + std::to_string(line) + ", which is a root");
  touch(line);
  touch_siblings(line);
  unlink_child(line);
  State& s = at(line);
  s.fork_node = kNone;
  s.fork_tokens = 0;
  s.limit = limits_.max_position;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::hold(LineId id, std::int32_t n_slots) {
  const std::int32_t line = find(id);
  if (n_slots < 0 || n_slots > pool_->n_pages() * pool_->page_size())
    fail(Status::bad_argument, "hold of " + std::to_string(n_slots) + " slots; the pool has " +
                                   std::to_string(pool_->n_pages() * pool_->page_size()));
  touch(line);
  at(line).hold = n_slots;
}

}  // namespace anabranch
