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
      sequences_(memory),
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
    if (segment.refs == 0 || segment.ordinal != staged[i].ordinal) continue;
    const std::int32_t end = std::min(segment.length, tree.history().seen(segment));
    if (end <= segment.committed) continue;
    blocks_.push_back({staged[i].segment, staged[i].base, segment.committed, end, 0});
    entry_of_block_.push_back(static_cast<std::int32_t>(i));
  }
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
void Planner<Policy, PageSize>::note(std::int32_t page) {
  undo_.push_back({page, (*pool_)[page]});
}

/// Gives every block its slots and every sequence what it holds. Returns how many pages are short.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::reserve_slots(Tree& tree) {
  std::int64_t short_of = 0;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const auto entry = static_cast<std::size_t>(entry_of_block_[i]);
    short_of += place_block(tree, blocks_[i], tree.staged().segments[entry].sequence);
  }
  return static_cast<std::int32_t>(std::min<std::int64_t>(short_of + reserve_holds(tree), kUnlimited));
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::place_block(Tree& tree, const RowBlock& block, std::int32_t sequence) {
  Segment& segment = tree.history().segment(block.segment);
  std::int32_t missing = block.end - block.begin;
  while (missing > 0) {
    const std::int32_t page = page_for(tree, sequence, last_slot(tree, block));
    if (page == kNone) return pages_for(missing);
    const std::int32_t n = std::min(missing, pool_->room(page));
    impl::reserve_more(segment.runs, 1);
    note(page);
    History<PageSize>::add_slots(segment, pool_->write(page, n), n);
    missing -= n;
  }
  return 0;
}

/// Slot of the token before the block's next one, kNoSlot when there is none or it has no slot yet.
template <PositionPolicy Policy, PageSizeChoice PageSize>
Slot Planner<Policy, PageSize>::last_slot(const Tree& tree, const RowBlock& block) noexcept {
  const Segment& segment = tree.history().segment(block.segment);
  if (!segment.runs.empty()) return segment.runs.back().first + segment.runs.back().count - 1;
  if (block.base == kNone) return kNoSlot;
  const HistoryNode& node = tree.history().node(block.base);
  const auto& runs = tree.history().segment(node.segment).runs;
  if (impl::n_slots(runs) < node.end) return kNoSlot;
  const SlotRun& run = runs[static_cast<std::size_t>(impl::run_of(runs, node.end - 1))];
  return run.first + (node.end - 1 - run.offset);
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::tail_without_hole(std::int32_t sequence) const noexcept {
  std::int32_t page = pool_->tail(sequence);
  while (page != kNone && (*pool_)[page].avoid) page = (*pool_)[page].next;
  return page;
}

/// A page with room that `sequence` may write now: one of its tails; the page of the token before, `last`, when nobody
/// alive writes it; a tail of a sequence above; a fresh page; at worst a tail in which writing leaves a hole. kNone
/// when there is none.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::page_for(const Tree& tree, std::int32_t sequence, Slot last) {
  if (const std::int32_t page = tail_without_hole(sequence); page != kNone) return page;
  impl::reserve_more(undo_, 2);
  const bool may_share = share_tail_ == ShareTail::spare;
  if (last != kNoSlot && (may_share || tree.above(sequence) == kNone)) {
    const std::int32_t page = pool_->page_of(last);
    const Page& p = (*pool_)[page];
    const bool at_fill = last - page * pool_->page_size() + 1 == p.fill;
    const bool unwritten = p.writer == kNone || !tree.state(p.writer).alive;
    if (unwritten && at_fill && !p.avoid && pool_->room(page) > 0) {
      note(page);
      pool_->hand_over(page, sequence);
      return page;
    }
  }
  for (std::int32_t l = may_share ? tree.above(sequence) : kNone; l != kNone; l = tree.above(l)) {
    const std::int32_t page = tree.state(l).hold == 0 ? tail_without_hole(l) : kNone;
    if (page == kNone || (*pool_)[page].used == 0) continue;
    note(page);
    pool_->hand_over(page, sequence);
    return page;
  }
  return pool_->n_free() > 0 ? take_page(sequence) : pool_->tail(sequence);
}

/// REQUIRES: a free page, and room in undo_.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t Planner<Policy, PageSize>::take_page(std::int32_t sequence) {
  const std::int32_t page = pool_->take(sequence);
  undo_.push_back({page, Page{}});
  return page;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int64_t Planner<Policy, PageSize>::reserve_holds(const Tree& tree) {
  std::int64_t short_of = 0;
  tree.for_each_touched([&](std::int32_t sequence, const SequenceState<Policy>& state) {
    if (!state.alive || state.hold == 0) return;
    std::int32_t missing = state.hold;
    for (std::int32_t page = pool_->tail(sequence); page != kNone; page = (*pool_)[page].next)
      missing -= pool_->room(page);
    for (; missing > 0 && pool_->n_free() > 0; missing -= pool_->page_size()) {
      impl::reserve_more(undo_, 1);
      take_page(sequence);
    }
    if (missing > 0) short_of += pages_for(missing);
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
  for (std::size_t i = undo_.size(); i-- > 0;) pool_->restore(undo_[i].page, undo_[i].before);
  undo_.clear();
}

}  // namespace anabranch
