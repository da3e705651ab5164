// Planner: pages and slots for the new tokens of a step.
#pragma once

#include <algorithm>

#include <anabranch/plan/planner.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
Planner<Policy, PageSize>::Planner(PagePool<PageSize>& pool, ShareTail share_tail, std::pmr::memory_resource* memory)
    : pool_(&pool),
      share_tail_(share_tail),
      forest_(memory),
      undo_(memory),
      blocks_(memory),
      entry_of_block_(memory),
      tokens_(memory),
      positions_(memory),
      slots_(memory),
      lines_(memory),
      outputs_(memory),
      groups_(memory),
      views_(memory) {}

template <PositionPolicy Policy, PageSizeChoice PageSize>
PlanResult Planner<Policy, PageSize>::plan(Tree& tree) {
  find_blocks(tree);
  try {
    if (const std::int32_t short_of = reserve_slots(tree); short_of > 0) {
      undo_slots(tree);
      return PlanResult(Shortage{short_of, pool_->n_free()});
    }
    tree.prepare_commit();
    forest_.build(tree.history(), blocks_);
    forest_.groups(tree.history(), blocks_, groups_, views_);
    fill_rows(tree);
    publish(tree);
  } catch (...) {
    undo_slots(tree);
    throw;
  }
  return PlanResult(plan_);
}

/// The staged segments that somebody still sees beyond what was committed.
template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::find_blocks(const Tree& tree) {
  blocks_.clear();
  entry_of_block_.clear();
  const auto& staged = tree.staged().segments;
  for (std::size_t i = 0; i < staged.size(); ++i) {
    const Segment& segment = tree.history().segment(staged[i].segment);
    if (segment.refs == 0 || segment.sequence != staged[i].sequence) continue;
    const std::int32_t end = std::min(segment.length, tree.history().seen(segment));
    if (end <= segment.committed) continue;
    blocks_.push_back({staged[i].segment, staged[i].base, segment.committed, end, 0});
    entry_of_block_.push_back(static_cast<std::int32_t>(i));
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::note(std::int32_t page) {
  undo_.push_back({page, (*pool_)[page].fill, (*pool_)[page].writer});
}

/// Gives every block its slots and every line what it holds. Returns how many pages are short.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::reserve_slots(Tree& tree) {
  std::int32_t short_of = 0;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const auto entry = static_cast<std::size_t>(entry_of_block_[i]);
    short_of += place_block(tree, blocks_[i], tree.staged().segments[entry].line);
  }
  return short_of + reserve_holds(tree);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::place_block(Tree& tree, const RowBlock& block, std::int32_t line) {
  Segment& segment = tree.history().segment(block.segment);
  std::int32_t missing = block.end - block.begin;
  while (missing > 0) {
    Slot last = kNoSlot;
    if (!segment.runs.empty()) {
      last = segment.runs.back().first + segment.runs.back().count - 1;
    } else if (block.base != kNone) {
      const HistoryNode& node = tree.history().node(block.base);
      const Segment& older = tree.history().segment(node.segment);
      if (node.end <= older.committed) {
        const SlotRun& run = older.runs[static_cast<std::size_t>(impl::run_of(older.runs, node.end - 1))];
        last = run.first + (node.end - 1 - run.offset);
      }
    }
    const std::int32_t page = page_for(tree, line, last);
    if (page == kNone) return (missing + pool_->page_size() - 1) / pool_->page_size();
    const std::int32_t n = std::min(missing, pool_->room(page));
    impl::reserve_more(segment.runs, 1);
    note(page);
    History<PageSize>::add_slots(segment, pool_->write(page, n), n);
    missing -= n;
  }
  return 0;
}

/// A page with room that `line` may write now: one of its tails, the page of its last token `last` when nobody writes
/// it, a tail of an ancestor, a fresh one. kNone when there is none.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::page_for(const Tree& tree, std::int32_t line, Slot last) {
  if (pool_->tail(line) != kNone) return pool_->tail(line);
  impl::reserve_more(undo_, 2);
  const bool is_root = tree.state(line).parent == kNone;
  if (last != kNoSlot && (is_root || share_tail_ == ShareTail::spare)) {
    const std::int32_t page = pool_->page_of(last);
    const bool at_fill = last - page * pool_->page_size() + 1 == (*pool_)[page].fill;
    if ((*pool_)[page].writer == kNone && pool_->room(page) > 0 && at_fill) {
      note(page);
      pool_->hand_over(page, line);
      return page;
    }
  }
  if (share_tail_ == ShareTail::spare) {
    for (std::int32_t l = tree.state(line).parent; l != kNone; l = tree.state(l).parent) {
      const std::int32_t page = tree.state(l).hold == 0 ? pool_->tail(l) : kNone;
      if (page == kNone || (*pool_)[page].used == 0) continue;
      note(page);
      pool_->hand_over(page, line);
      return page;
    }
  }
  if (pool_->n_free() == 0) return kNone;
  const std::int32_t page = pool_->take(line);
  undo_.push_back({page, 0, kNone});
  return page;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::reserve_holds(const Tree& tree) {
  std::int32_t short_of = 0;
  tree.for_each_touched([&](std::int32_t line, const LineState<Policy>& state) {
    if (!state.alive || state.hold == 0) return;
    std::int32_t missing = state.hold;
    for (std::int32_t page = pool_->tail(line); page != kNone; page = (*pool_)[page].next)
      missing -= pool_->room(page);
    for (; missing > 0 && pool_->n_free() > 0; missing -= pool_->page_size()) {
      impl::reserve_more(undo_, 1);
      undo_.push_back({pool_->take(line), 0, kNone});
    }
    if (missing > 0) short_of += (missing + pool_->page_size() - 1) / pool_->page_size();
  });
  return short_of;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::undo_slots(Tree& tree) noexcept {
  for (const RowBlock& block : blocks_) {
    Segment& segment = tree.history().segment(block.segment);
    History<PageSize>::forget_slots(segment, segment.committed);
  }
  abort();
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::abort() noexcept {
  for (std::size_t i = undo_.size(); i-- > 0;) pool_->restore(undo_[i].page, undo_[i].fill, undo_[i].writer);
  undo_.clear();
}

}  // namespace anabranch
