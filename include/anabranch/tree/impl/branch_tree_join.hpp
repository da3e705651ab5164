// BranchTree: branches become a part of their parent.
#pragma once

#include <algorithm>

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

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

/// Throws bad_argument when a sequence is named twice. O(n log n).
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_distinct(std::span<const SequenceId> sequences, const char* call) {
  scratch_.clear();
  for (const SequenceId sequence : sequences) scratch_.push_back(static_cast<std::int32_t>(sequence.index));
  std::sort(scratch_.begin(), scratch_.end());
  const auto twice = std::adjacent_find(scratch_.begin(), scratch_.end());
  if (twice != scratch_.end()) fail(Status::bad_argument, "sequence ", *twice, " is named twice in one ", call);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::join(SequenceId parent_id, std::span<const SequenceId> children,
                                        Position given_next) {
  const std::int32_t parent = find(parent_id);
  bool given = false;
  State after = state(parent);  // a trial of the positions alone
  for (const SequenceId child : children) {
    check_child(parent, child, "join");
    const State& c = state(static_cast<std::int32_t>(child.index));
    if (c.first_child != kNone)
      fail(Status::open_children, "join of sequence ", child.index, ", which has open children");
    given = given || c.policy.is_given();
    const WidePosition next = join_rule(after, c)(c.next);
    if (next > kUnlimited) fail(Status::out_of_range, "join leads to position ", next);
    after.next = static_cast<Position>(next);
  }
  check_distinct(children, "join");
  if (given != (given_next != kNone) || given_next < kNone || given_next > limits_.max_position)
    fail(Status::bad_argument, "join of ", std::string(given ? "" : "no "), "`given` branches with next position ",
         given_next, "; limit ", limits_.max_position);
  touch(parent);
  std::int32_t n_nodes = 1;
  for (const SequenceId child : children) {
    const auto c = static_cast<std::int32_t>(child.index);
    touch(c);
    touch_siblings(c);
    collect_views(c);
    n_nodes += static_cast<std::int32_t>(scratch_.size()) + 2;  // sealed, an open segment is a node here and there
    impl::reserve_more(scratch_, 1);
  }
  history_.reserve_nodes(n_nodes);
  impl::reserve_more(staged_.ops_before, children.size() + 1);
  impl::reserve_more(staged_.ops_after, children.size() + 1);

  restart(parent);
  seal(parent);
  for (const SequenceId child : children) {
    const auto c = static_cast<std::int32_t>(child.index);
    staged_.ops_before.push_back({HostOp::Kind::share, parent_id, child, state(c).start, state(c).next});
    staged_.ops_after.push_back({HostOp::Kind::remove, child, kNoSequence, 0, 0});
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
    p.head = history_.add_node(p.head, node.segment, node.end, history_.next_ordinal(), node.rule.then(outer),
                               static_cast<Position>(outer(node.next_before)));
  }
  p.next = static_cast<Position>(outer(state(child).next));
  end_sequence(child);
}

}  // namespace anabranch
