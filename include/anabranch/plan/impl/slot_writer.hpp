// SlotWriter: bodies.
#pragma once

#include <anabranch/plan/slot_writer.hpp>

namespace anabranch {

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t SlotWriter<Policy, PageSize>::place(Tree& tree, const RowBlock& block, SequenceIndex sequence) {
  Segment& segment = tree.history().segment(block.segment);
  std::int32_t missing = block.end - block.begin;
  while (missing > 0) {
    const PageIndex page = page_for(tree, sequence, last_slot(tree, block));
    if (page == kNoIndex) return lack(segment, sequence, missing);
    const std::int32_t n = std::min(missing, pool_->room(page));
    impl::reserve_more(segment.runs, 1);
    note(page);
    segment.add_slots(pool_->write(page, n), n);
    missing -= n;
  }
  return 0;
}

/// Slot of the token before the block's next one, kNoSlot when there is none or it has no slot yet.
template <PositionPolicy Policy, PageSizeChoice PageSize>
Slot SlotWriter<Policy, PageSize>::last_slot(const Tree& tree, const RowBlock& block) noexcept {
  const Segment& segment = tree.history().segment(block.segment);
  if (!segment.runs.empty()) return segment.runs.back().first + segment.runs.back().count - 1;
  if (block.base == kNoIndex) return kNoSlot;
  const HistoryNode& before = tree.history().node(block.base);
  const Segment& older = tree.history().segment(before.segment);
  return older.n_slots() < before.end ? kNoSlot : older.slot_of(before.end - 1);
}

/// The first of the sequence's tails in which a write leaves no hole.
template <PositionPolicy Policy, PageSizeChoice PageSize>
PageIndex SlotWriter<Policy, PageSize>::tail_without_hole(SequenceIndex sequence) const noexcept {
  PageIndex page = pool_->tail(sequence);
  while (page != kNoIndex && (*pool_)[page].avoid) page = (*pool_)[page].next;
  return page;
}

/// A page with room that `sequence` may write now: one of its tails; the page of the token before, `last`, when nobody
/// alive writes it; a tail of a sequence above; a fresh page; at worst a tail in which the write leaves a hole. None
/// when there is none.
template <PositionPolicy Policy, PageSizeChoice PageSize>
PageIndex SlotWriter<Policy, PageSize>::page_for(const Tree& tree, SequenceIndex sequence, Slot last) {
  if (const PageIndex page = tail_without_hole(sequence); page != kNoIndex) return page;
  impl::reserve_more(undo_, 2);
  PageIndex page = page_of_last(tree, sequence, last);
  if (page == kNoIndex) page = page_from_above(tree, sequence);
  if (page != kNoIndex) {
    note(page);
    pool_->hand_over(page, sequence);
    if (sequence == without_tail_) without_tail_ = kNoIndex;
    return page;
  }
  if (pool_->n_free() > 0) return take_page(sequence);
  page = refuses_holes_ ? PageIndex{} : pool_->tail(sequence);
  left_hole_ = left_hole_ || page != kNoIndex;
  return page;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
PageIndex SlotWriter<Policy, PageSize>::page_of_last(const Tree& tree, SequenceIndex sequence,
                                                     Slot last) const noexcept {
  const bool is_root = tree.sequences().above(sequence) == kNoIndex;
  if (last < 0 || (share_tail_ == ShareTail::never && !is_root)) return kNoIndex;
  const PageIndex page = pool_->page_of(last);
  const Page& p = (*pool_)[page];
  const bool at_fill = last - pool_->first_slot(page) + 1 == p.fill;
  const bool unwritten = p.writer == kNoIndex || !tree.sequences()[p.writer].alive;
  return unwritten && at_fill && !p.avoid && pool_->room(page) > 0 ? page : PageIndex{};
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
PageIndex SlotWriter<Policy, PageSize>::page_from_above(const Tree& tree, SequenceIndex sequence) noexcept {
  if (share_tail_ == ShareTail::never) return kNoIndex;
  const SequenceTable<Policy>& sequences = tree.sequences();
  for (SequenceIndex up = sequences.above(sequence); up != kNoIndex; up = sequences.above(up)) {
    if (up == without_tail_ || sequences[up].hold != 0) continue;
    const PageIndex page = tail_without_hole(up);
    if (page == kNoIndex) without_tail_ = up;
    if (page != kNoIndex && (*pool_)[page].used > 0) return page;
  }
  return kNoIndex;
}

/// Gives the next `missing` tokens of the segment slots that are not there. Returns how many pages they need.
template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int32_t SlotWriter<Policy, PageSize>::lack(Segment& segment, SequenceIndex sequence, std::int32_t missing) {
  const std::int32_t n = pages_for(missing);
  const std::int32_t n_in_full_pages = (n - 1) * pool_->page_size();
  const std::int32_t n_in_last = missing - n_in_full_pages;
  if (n_in_last == pool_->page_size()) return n;
  impl::reserve_more(segment.runs, 2);
  const PageIndex page = pool_->add_missing(sequence, n_in_last);
  if (sequence == without_tail_) without_tail_ = kNoIndex;
  if (page == kNoIndex) return n;
  if (n_in_full_pages > 0) segment.add_slots(kNoSlot - n_in_full_pages, n_in_full_pages);
  segment.add_slots(pool_->first_slot(page), n_in_last);
  return n;
}

/// REQUIRES: a free page, and room in undo_.
template <PositionPolicy Policy, PageSizeChoice PageSize>
PageIndex SlotWriter<Policy, PageSize>::take_page(SequenceIndex sequence) {
  const PageIndex page = pool_->take(sequence);
  if (sequence == without_tail_) without_tail_ = kNoIndex;
  undo_.push_back({page, Page{}});
  return page;
}

template <PositionPolicy Policy, PageSizeChoice PageSize>
std::int64_t SlotWriter<Policy, PageSize>::reserve_holds(const Tree& tree) {
  std::int64_t short_of = 0;
  tree.for_each_touched([&](SequenceIndex sequence) {
    const SequenceState<Policy>& state = tree.sequences()[sequence];
    if (!state.alive || state.hold == 0) return;
    std::int32_t missing = state.hold;
    for (PageIndex page = pool_->tail(sequence); page != kNoIndex && missing > 0; page = (*pool_)[page].next)
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
void SlotWriter<Policy, PageSize>::abort() noexcept {
  for (std::size_t i = undo_.size(); i-- > 0;) pool_->restore(undo_[i].page, undo_[i].before);
  undo_.clear();
  without_tail_ = kNoIndex;
  pool_->drop_missing();
  left_hole_ = refuses_holes_ = false;
}

}  // namespace anabranch
