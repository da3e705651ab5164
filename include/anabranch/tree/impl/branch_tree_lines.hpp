// BranchTree: ids, limits and the links between lines.
#pragma once

#include <anabranch/tree/branch_tree.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
BranchTree<Policy, PageSize>::BranchTree(PagePool<PageSize>& pool, TreeLimits limits, std::pmr::memory_resource* memory)
    : pool_(&pool),
      limits_(limits),
      history_(pool, memory),
      lines_(memory),
      staged_(memory),
      log_(memory),
      scratch_(memory) {}

template <PositionPolicy Policy, PageSizeChoice PageSize>
bool BranchTree<Policy, PageSize>::alive(LineId line) const noexcept {
  const auto index = static_cast<std::int32_t>(line.index);
  return index >= 0 && lines_.in_use(index) && lines_[index].generation == line.generation && lines_[index].state.alive;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::find(LineId line) const {
  if (!alive(line))
    fail(Status::stale_line, "line " + std::to_string(line.index) + " of generation " +
                                 std::to_string(line.generation) + " is not alive; " + std::to_string(n_alive_) +
                                 " lines are");
  return static_cast<std::int32_t>(line.index);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
LineId BranchTree<Policy, PageSize>::id(std::int32_t line) const noexcept {
  return line == kNone ? kNoLine : LineId{static_cast<std::uint32_t>(line), lines_[line].generation};
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::n_tokens(std::int32_t line) const noexcept {
  const State& s = state(line);
  return history_.n_tokens(s.head) + (s.open == kNone ? 0 : history_.segment(s.open).length);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t BranchTree<Policy, PageSize>::depth(std::int32_t line) const noexcept {
  std::int32_t n = 0;
  for (std::int32_t l = state(line).parent; l != kNone; l = state(l).parent) ++n;
  return n;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_limits(std::int32_t parent, std::int32_t n_new) const {
  if (n_new > limits_.max_lines - n_alive_)
    fail(Status::limit_reached, std::to_string(n_new) + " new lines beside " + std::to_string(n_alive_) +
                                    " pass the limit of " + std::to_string(limits_.max_lines) + " lines");
  if (parent != kNone && depth(parent) >= limits_.max_depth)
    fail(Status::limit_reached, "a fork at depth " + std::to_string(depth(parent)) + " passes the limit of " +
                                    std::to_string(limits_.max_depth) + " levels");
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::check_child(std::int32_t parent, LineId child, const char* call) const {
  if (state(find(child)).parent != parent)
    fail(Status::not_a_child, std::string(call) + ": line " + std::to_string(child.index) +
                                  " is not an open child of line " + std::to_string(parent));
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

/// Makes `segment` (or kNone) what the line writes; the reference to it becomes the line's.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::set_open(std::int32_t line, std::int32_t segment) noexcept {
  State& s = at(line);
  if (s.open != kNone) {
    history_.segment(s.open).writer = kNone;
    history_.release_segment(s.open, kNone);
  }
  s.open = segment;
  if (segment != kNone) history_.segment(segment).writer = line;
}

/// The line is gone from the tree; what it was before the step stays in the log until commit.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void BranchTree<Policy, PageSize>::end_line(std::int32_t line) noexcept {
  lines_[line].heir = at(line).parent;
  unlink_child(line);
  set_open(line, kNone);
  history_.release_node(at(line).head, kNone);
  at(line).head = kNone;
  at(line).alive = false;
  --n_alive_;
}

}  // namespace anabranch
