// BranchTree: the operations of a step.
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
  start_segment(line);

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
  impl::reserve_more(staged_.ops_before, children.size());
  pool_->reserve_writers(lines_.size() + n);

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

/// scratch_ becomes the nodes that `child` has beyond its fork, oldest first.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::collect_views(std::int32_t child) {
  scratch_.clear();
  const State& c = state(child);
  for (std::int32_t node = c.head; node != c.fork_node; node = history_.node(node).parent) scratch_.push_back(node);
  std::reverse(scratch_.begin(), scratch_.end());
}

/// How the parent's next position follows from the child's.
template <PositionPolicy Policy, PageSizeChoice PageSize>
NextRule BranchTree<Policy, PageSize>::join_rule(const State& parent, const State& child) const {
  return child.policy.is_given() ? NextRule{parent.next, kNever} : child.policy.after_join(parent.next, child.start);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::join(LineId parent_id, std::span<const LineId> children, Position given_next) {
  const std::int32_t parent = find(parent_id);
  bool given = false;
  State after = state(parent);  // a trial of the positions alone
  for (std::size_t i = 0; i < children.size(); ++i) {
    check_child(parent, children[i], "join");
    const State& c = state(static_cast<std::int32_t>(children[i].index));
    if (c.first_child != kNone)
      fail(Status::open_children, "join of line " + std::to_string(children[i].index) + ", which has open children");
    if (std::find(children.begin(), children.begin() + static_cast<std::ptrdiff_t>(i), children[i]) !=
        children.begin() + static_cast<std::ptrdiff_t>(i))
      fail(Status::bad_argument, "line " + std::to_string(children[i].index) + " is named twice in one join");
    given = given || c.policy.is_given();
    const WidePosition next = join_rule(after, c)(c.next);
    if (next > kUnlimited) fail(Status::out_of_range, "join leads to position " + std::to_string(next));
    after.next = static_cast<Position>(next);
  }
  if (given != (given_next != kNone) || given_next < kNone || given_next > limits_.max_position)
    fail(Status::bad_argument, "join of " + std::string(given ? "" : "no ") + "`given` branches with next position " +
                                   std::to_string(given_next) + "; limit " + std::to_string(limits_.max_position));
  touch(parent);
  std::int32_t n_nodes = 1;
  for (const LineId child : children) {
    const auto c = static_cast<std::int32_t>(child.index);
    touch(c);
    touch_siblings(c);
    collect_views(c);
    n_nodes += static_cast<std::int32_t>(scratch_.size()) + 2;  // sealed, an open segment is a node here and there
    impl::reserve_more(scratch_, 1);
  }
  history_.reserve_nodes(n_nodes);
  impl::reserve_more(staged_.ops_before, children.size());
  impl::reserve_more(staged_.ops_after, children.size());

  seal(parent);
  for (const LineId child : children) {
    const auto c = static_cast<std::int32_t>(child.index);
    staged_.ops_before.push_back({SequenceOp::Kind::share, parent_id, child, state(c).start, state(c).next});
    staged_.ops_after.push_back({SequenceOp::Kind::remove, child, kNoLine, 0, 0});
    join_one(parent, c, join_rule(state(parent), state(c)));
  }
  if (given) at(parent).next = given_next;
  changed();
}

/// Appends the child's own views to the parent's history and ends the child. REQUIRES: room for the nodes.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::join_one(std::int32_t parent, std::int32_t child, const NextRule& outer) {
  seal(child);
  collect_views(child);
  State& p = at(parent);
  for (const std::int32_t index : scratch_) {
    const HistoryNode node = history_.node(index);
    p.head = history_.add_node(p.head, node.segment, node.end, history_.next_sequence(), node.rule.then(outer),
                               static_cast<Position>(outer(node.next_before)));
  }
  p.next = static_cast<Position>(outer(state(child).next));
  end_line(child);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_rewind(std::int32_t line, std::int32_t n_keep) const {
  const State& s = state(line);
  std::int32_t least = s.fork_tokens;
  for (std::int32_t c = s.first_child; c != kNone; c = state(c).next_sibling)
    least = std::max(least, state(c).fork_tokens);
  if (n_keep < least || n_keep > n_tokens(line))
    fail(Status::bad_argument, "rewind of line " + std::to_string(line) + " to " + std::to_string(n_keep) +
                                   " tokens; it can keep " + std::to_string(least) + " to " +
                                   std::to_string(n_tokens(line)));
}

/// The pages whose last slots a rewind to `n_keep` tokens gives up.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::note_given_up(std::int32_t line, std::int32_t n_keep) {
  const auto note = [&](const Segment& segment, std::int32_t end) {
    end = std::min(end, segment.committed);
    if (end == 0) return;
    impl::reserve_more(staged_.avoided_pages, 1);
    const SlotRun& run = segment.runs[static_cast<std::size_t>(impl::run_of(segment.runs, end - 1))];
    const std::int32_t page = pool_->page_of(run.first + (end - 1 - run.offset));
    staged_.avoided_pages.push_back(page);
    pool_->set_avoid(page, true);
  };
  const State& s = state(line);
  if (s.open != kNone) note(history_.segment(s.open), history_.segment(s.open).length);
  for (std::int32_t node = s.head; history_.n_tokens(node) > n_keep; node = history_.node(node).parent)
    note(history_.segment(history_.node(node).segment), history_.node(node).end);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::rewind(LineId id, std::int32_t n_keep) {
  const std::int32_t line = find(id);
  check_rewind(line, n_keep);
  if (n_keep == n_tokens(line)) return;
  touch(line);
  history_.reserve_nodes(1);
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, 1);
  note_given_up(line, n_keep);
  if (state(line).open != kNone) {
    const std::int32_t keep = std::max(0, n_keep - history_.n_tokens(state(line).head));
    Segment& open = history_.segment(state(line).open);
    at(line).next = open.first + keep;
    if (keep > 0 && keep >= open.committed) {
      open.length = keep;  // only this step's own tokens go
      staged_.cut(open.staged, keep);
    } else {
      cut_open(line, keep);
    }
  }
  State& s = at(line);
  std::int32_t node = s.head;
  while (node != kNone && history_.n_tokens(history_.node(node).parent) >= n_keep && history_.n_tokens(node) > n_keep) {
    s.next = history_.node(node).next_before;
    const std::int32_t parent = history_.node(node).parent;
    history_.retain_node(parent);
    history_.release_node(node, kNone);
    s.head = node = parent;
  }
  if (node != kNone && history_.n_tokens(node) > n_keep) {
    const HistoryNode old = history_.node(node);
    const std::int32_t end = old.end - (old.n_tokens - n_keep);
    history_.retain_node(old.parent);
    s.head = history_.add_node(old.parent, old.segment, end, old.sequence, old.rule, old.next_before);
    history_.release_node(node, kNone);
    s.next = static_cast<Position>(old.rule(end));
  }
  staged_.ops_before.push_back({SequenceOp::Kind::restart, id, kNoLine, 0, s.next});
  staged_.ops_after.push_back({SequenceOp::Kind::remove, id, kNoLine, s.next, kUnlimited});
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::adopt(LineId parent_id, LineId child_id) {
  const std::int32_t parent = find(parent_id);
  check_child(parent, child_id, "adopt");
  const auto child = static_cast<std::int32_t>(child_id.index);
  touch_subtree(parent);
  impl::reserve_more(staged_.ops_before, 1);
  impl::reserve_more(staged_.ops_after, log_.size() + 1);

  for (std::int32_t c = state(parent).first_child; c != kNone;) {
    const std::int32_t next = state(c).next_sibling;
    if (c != child) drop_noted(c);
    c = next;
  }
  staged_.ops_before.push_back({SequenceOp::Kind::become, parent_id, child_id, 0, state(child).next});
  staged_.ops_after.push_back({SequenceOp::Kind::remove, parent_id, kNoLine, 0, kUnlimited});

  set_open(parent, kNone);
  history_.retain_node(state(child).head);
  history_.release_node(state(parent).head, kNone);
  State& p = at(parent);
  State& c = at(child);
  p.head = c.head;
  p.next = c.next;
  p.first_sequence = c.first_sequence;
  const std::int32_t open = c.open;
  c.open = kNone;
  set_open(parent, open);
  if (open != kNone && history_.segment(open).staged != kNone)
    staged_.segments[static_cast<std::size_t>(history_.segment(open).staged)].line = parent;
  unlink_child(child);
  while (state(child).first_child != kNone) {
    const std::int32_t grandchild = state(child).first_child;
    unlink_child(grandchild);
    link_child(parent, grandchild);
  }
  end_line(child);
  lines_[child].heir = parent;
  changed();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop(LineId id) {
  const std::int32_t line = find(id);
  touch_subtree(line);
  touch_siblings(line);
  impl::reserve_more(staged_.ops_after, log_.size());
  drop_noted(line);
  changed();
}

/// REQUIRES: everything below is touched and ops_after has room.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::drop_noted(std::int32_t line) noexcept {
  std::int32_t l = line;
  while (true) {  // leaves first, without recursion
    while (state(l).first_child != kNone) l = state(l).first_child;
    const std::int32_t parent = state(l).parent;
    staged_.ops_after.push_back({SequenceOp::Kind::remove, this->id(l), kNoLine, 0, kUnlimited});
    end_line(l);
    if (l == line) return;
    l = parent;
  }
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
