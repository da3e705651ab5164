// BranchTree: ids, limits and the links between sequences.
#pragma once

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
BranchTree<Policy, PageSize>::BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory)
    : pool_(&pool),
      limits_(limits),
      history_(pool, memory),
      sequences_(memory),
      staged_(memory),
      log_(memory),
      scratch_(memory) {}

template <PositionPolicy Policy, PageSizeChoice PageSize>
bool BranchTree<Policy, PageSize>::alive(SequenceId sequence) const noexcept {
  const auto index = static_cast<std::int32_t>(sequence.index);
  return index >= 0 && sequences_.in_use(index) && sequences_[index].generation == sequence.generation &&
         sequences_[index].state.alive;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::find(SequenceId sequence) const {
  if (!alive(sequence))
    fail(Status::stale_sequence, "sequence ", sequence.index, " of generation ", sequence.generation, " is not alive; ",
         n_alive_, " sequences are");
  return static_cast<std::int32_t>(sequence.index);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
SequenceId BranchTree<Policy, PageSize>::id(std::int32_t sequence) const noexcept {
  return sequence == kNone ? kNoSequence
                           : SequenceId{static_cast<std::uint32_t>(sequence), sequences_[sequence].generation};
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::n_tokens(std::int32_t sequence) const noexcept {
  const State& s = state(sequence);
  return history_.n_tokens(s.head) + (s.open == kNone ? 0 : history_.segment(s.open).length);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::depth(std::int32_t sequence) const noexcept {
  std::int32_t n = 0;
  for (std::int32_t l = state(sequence).parent; l != kNone; l = state(l).parent) ++n;
  return n;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_limits(std::int32_t parent, std::int32_t n_new) const {
  if (n_new > limits_.max_sequences - n_alive_)
    fail(Status::limit_reached, n_new, " new sequences beside ", n_alive_, " pass the limit of ", limits_.max_sequences,
         " sequences");
  if (parent != kNone && depth(parent) >= limits_.max_depth)
    fail(Status::limit_reached, "a fork at depth ", depth(parent), " passes the limit of ", limits_.max_depth,
         " levels");
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_child(std::int32_t parent, SequenceId child, const char* call) const {
  if (state(find(child)).parent != parent)
    fail(Status::not_a_child, call, ": sequence ", child.index, " is not an open child of sequence ", parent);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::link_child(std::int32_t parent, std::int32_t child) noexcept {
  State& p = at(parent);
  State& c = at(child);
  c.parent = parent;
  c.previous_sibling = p.last_child;
  c.next_sibling = kNone;
  (p.last_child == kNone ? p.first_child : at(p.last_child).next_sibling) = child;
  p.last_child = child;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::unlink_child(std::int32_t child) noexcept {
  State& c = at(child);
  if (c.parent == kNone) return;
  State& p = at(c.parent);
  (c.previous_sibling == kNone ? p.first_child : at(c.previous_sibling).next_sibling) = c.next_sibling;
  (c.next_sibling == kNone ? p.last_child : at(c.next_sibling).previous_sibling) = c.previous_sibling;
  c.parent = c.previous_sibling = c.next_sibling = kNone;
}

/// Makes `segment` (or kNone) what the sequence writes; the reference to it becomes the sequence's.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::set_open(std::int32_t sequence, std::int32_t segment) noexcept {
  State& s = at(sequence);
  if (s.open != kNone) {
    history_.segment(s.open).writer = kNone;
    history_.release_segment(s.open, kNone);
  }
  s.open = segment;
  if (segment != kNone) history_.segment(segment).writer = sequence;
}

/// The sequence is gone from the tree; what it was before the step stays in the log until commit.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::end_sequence(std::int32_t sequence) noexcept {
  sequences_[sequence].tail_recipient = at(sequence).parent;
  unlink_child(sequence);
  set_open(sequence, kNone);
  history_.release_node(at(sequence).head, kNone);
  at(sequence).head = kNone;
  at(sequence).alive = false;
  --n_alive_;
}

}  // namespace anabranch
