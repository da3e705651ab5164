// PagePool: bodies.
#pragma once

#include <anabranch/pool/page_pool.hpp>

namespace anabranch {

template <PageSizeChoice PageSize>
PagePool<PageSize>::PagePool(std::int32_t n_pages, PageSize page_size, std::pmr::memory_resource* memory)
    : page_size_(page_size), n_pages_(n_pages), pages_(memory), tails_(memory), n_free_(n_pages) {
  pages_.grow(n_pages, Page{});
  for (std::int32_t i = n_pages; i-- > 0;) {
    pages_[PageIndex(i)].next = first_free_;
    first_free_ = PageIndex(i);
  }
}

template <PageSizeChoice PageSize>
PageIndex PagePool<PageSize>::take(SequenceIndex writer) noexcept {
  const PageIndex page = first_free_;
  first_free_ = pages_[page].next;
  --n_free_;
  pages_[page] = Page{};
  link(page, writer);
  return page;
}

template <PageSizeChoice PageSize>
Slot PagePool<PageSize>::write(PageIndex page, std::int32_t n) noexcept {
  Page& p = pages_[page];
  const Slot first = first_slot(page) + p.fill;
  if (p.used == 0) --tails_[p.writer].n_empty;
  p.fill += n;
  p.used += n;
  if (p.fill == page_size_.get()) unlink(page);
  return first;
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::hand_over(PageIndex page, SequenceIndex writer) noexcept {
  if (pages_[page].writer != kNoIndex) unlink(page);
  if (writer != kNoIndex) link(page, writer);
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::restore(PageIndex page, const Page& before) noexcept {
  if (pages_[page].writer != kNoIndex) unlink(page);
  pages_[page].used = before.used;
  pages_[page].fill = before.fill;
  if (before.writer != kNoIndex) link(page, before.writer, before.previous);
  free_if_empty(page);
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::release(Slot first, std::int32_t count, SequenceIndex tail_recipient) noexcept {
  while (count > 0) {  // from the back, so that fill falls with every piece
    const PageIndex page = page_of(first + count - 1);
    const Slot base = first_slot(page);
    const std::int32_t from = first > base ? first - base : 0;
    const std::int32_t to = first + count - base;
    Page& p = pages_[page];
    p.used -= to - from;
    if (p.used == 0 && p.writer != kNoIndex) ++tails_[p.writer].n_empty;
    if (p.fill == to) p.fill = from;
    if (p.used == 0) p.fill = 0;
    if (p.writer == kNoIndex && p.used > 0 && room(page) > 0 && tail_recipient != kNoIndex) link(page, tail_recipient);
    free_if_empty(page);
    count -= to - from;
  }
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::hand_over_tails(SequenceIndex writer, SequenceIndex tail_recipient) noexcept {
  while (tail(writer) != kNoIndex) {
    const PageIndex page = tail(writer);
    unlink(page);
    if (pages_[page].used > 0 && tail_recipient != kNoIndex) link(page, tail_recipient);
    free_if_empty(page);
  }
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::trim(SequenceIndex writer, std::int32_t keep) noexcept {
  std::int32_t kept = 0;
  PageIndex page = tail(writer);
  for (std::int32_t n_empty = tails_[writer].n_empty; n_empty > 0;) {
    const PageIndex next = pages_[page].next;
    const bool empty = pages_[page].used == 0;
    if (empty) --n_empty;
    if (empty && kept >= keep) {
      unlink(page);
      free_if_empty(page);
    } else {
      kept += room(page);
    }
    page = next;
  }
}

template <PageSizeChoice PageSize>
PageIndex PagePool<PageSize>::add_missing(SequenceIndex writer, std::int32_t fill) {
  if ((std::int64_t{pages_.size()} + 1) * page_size() > kUnlimited) return kNoIndex;
  Page page;
  page.used = page.fill = fill;
  const PageIndex index = pages_.push_back(page);
  link(index, writer);
  return index;
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::drop_missing() noexcept {
  for (PageIndex page(n_pages_); page != pages_.end_index(); ++page)
    if (pages_[page].writer != kNoIndex) unlink(page);
  pages_.truncate(n_pages_);
}

/// Puts the page into the list of `writer`, behind `previous` or in front.
template <PageSizeChoice PageSize>
void PagePool<PageSize>::link(PageIndex page, SequenceIndex writer, PageIndex previous) noexcept {
  Page& p = pages_[page];
  p.writer = writer;
  p.previous = previous;
  if (p.used == 0) ++tails_[writer].n_empty;
  PageIndex& before = previous == kNoIndex ? tails_[writer].first : pages_[previous].next;
  p.next = before;
  if (p.next != kNoIndex) pages_[p.next].previous = page;
  before = page;
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::unlink(PageIndex page) noexcept {
  Page& p = pages_[page];
  if (p.used == 0) --tails_[p.writer].n_empty;
  (p.previous != kNoIndex ? pages_[p.previous].next : tails_[p.writer].first) = p.next;
  if (p.next != kNoIndex) pages_[p.next].previous = p.previous;
  p.writer = kNoIndex;
  p.next = p.previous = kNoIndex;
}

template <PageSizeChoice PageSize>
void PagePool<PageSize>::free_if_empty(PageIndex page) noexcept {
  Page& p = pages_[page];
  if (p.used > 0 || p.writer != kNoIndex) return;
  p = Page{};
  p.next = first_free_;
  first_free_ = page;
  ++n_free_;
}

}  // namespace anabranch
