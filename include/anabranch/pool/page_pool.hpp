// Pages of slots: who uses them, who may write into them, which are free.
//
// The pool never touches K or V; it counts. Invariants:
//   1. `used` is the number of slots of the page that some segment holds; slots at or past `fill` are unused.
//   2. A page has at most one writer. A page with a writer has room (fill < page size) and is in its writer's list of
//      tails; any number of segments may read it, each up to its own length.
//   3. A page is free exactly when used == 0 and it has no writer.
// Freeing and handing over never allocate.
#pragma once

#include <cstdint>
#include <memory_resource>

#include <anabranch/pool/index.hpp>
#include <anabranch/pool/indexed_vector.hpp>
#include <anabranch/pool/page_size.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

struct Page {
  std::int32_t used = 0;  ///< slots held by segments
  std::int32_t fill = 0;  ///< one past the last used slot
  SequenceIndex writer;   ///< who may write at `fill`
  PageIndex next;         ///< in the writer's list of tails, or in the free list
  PageIndex previous;
  bool avoid = false;  ///< the open step gives up its last slots: tokens written behind them leave a hole
};

template <PageSizeChoice PageSize = RuntimePageSize>
class PagePool {
 public:
  PagePool(std::int32_t n_pages, PageSize page_size, std::pmr::memory_resource* memory);

  std::int32_t n_pages() const noexcept { return n_pages_; }
  std::int32_t n_free() const noexcept { return n_free_; }
  std::int32_t page_size() const noexcept { return page_size_.get(); }
  std::int32_t n_slots() const noexcept { return n_pages() * page_size(); }
  PageIndex page_of(Slot slot) const noexcept { return PageIndex(slot / page_size_.get()); }
  Slot first_slot(PageIndex page) const noexcept { return page.value * page_size_.get(); }
  const Page& operator[](PageIndex page) const noexcept { return pages_[page]; }

  /// Makes room to record the tails of writers [0, n). May allocate.
  void reserve_writers(std::int32_t n) { tails_.grow(n, {}); }
  /// First page that `writer` may write into, or none.
  PageIndex tail(SequenceIndex writer) const noexcept { return tails_[writer].first; }
  /// Slots that can still be written.
  std::int32_t room(PageIndex page) const noexcept { return page_size_.get() - pages_[page].fill; }

  /// Takes a free page for `writer`. REQUIRES: n_free() > 0.
  PageIndex take(SequenceIndex writer) noexcept;
  /// Writes `n` slots at the page's fill; the page leaves its writer's tails when it is full. Returns the first slot.
  Slot write(PageIndex page, std::int32_t n) noexcept;
  /// Makes `writer` (or nobody) the page's writer, in front of its tails. REQUIRES: a writer gets a page with room.
  void hand_over(PageIndex page, SequenceIndex writer) noexcept;
  /// Undoes `take`, `write` and `hand_over`, latest first: the page gets back the fill, the writer and, in its list,
  /// the place that it had before. Freed when that leaves it empty.
  void restore(PageIndex page, const Page& before) noexcept;
  void set_avoid(PageIndex page, bool avoid) noexcept { pages_[page].avoid = avoid; }

  /// Gives back the used slots [first, first + count). Pages that get room again and have no writer go to
  /// `tail_recipient`, if there is one. O(pages).
  void release(Slot first, std::int32_t count, SequenceIndex tail_recipient) noexcept;
  /// All tails of `writer` go to `tail_recipient`, or to nobody; empty pages become free. O(tails).
  void hand_over_tails(SequenceIndex writer, SequenceIndex tail_recipient) noexcept;
  /// Frees the empty pages among the tails of `writer` beyond the first `keep` free slots. O(tails up to the last empty
  /// one).
  void trim(SequenceIndex writer, std::int32_t keep) noexcept;

  /// Adds a page that is not there, with `fill` slots used, to the tails of `writer`, so that it can be counted how
  /// many pages a plan lacks; none when its slots would pass kUnlimited.
  PageIndex add_missing(SequenceIndex writer, std::int32_t fill);
  /// Forgets the pages of `add_missing`. REQUIRES: nothing but lists of tails knows them.
  void drop_missing() noexcept;

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  /// The pages that a sequence may write into.
  struct Tails {
    PageIndex first;
    std::int32_t n_empty = 0;  ///< those without used slots: taken ahead for a hold, or given back
  };
  void link(PageIndex page, SequenceIndex writer, PageIndex previous = kNoIndex) noexcept;
  void unlink(PageIndex page) noexcept;
  void free_if_empty(PageIndex page) noexcept;

  [[no_unique_address]] PageSize page_size_;
  std::int32_t n_pages_ = 0;
  IndexedVector<Page, PageIndex> pages_;  // behind the first n_pages_: those of add_missing
  IndexedVector<Tails, SequenceIndex> tails_;
  PageIndex first_free_;
  std::int32_t n_free_ = 0;
};

}  // namespace anabranch

#include <anabranch/pool/impl/page_pool.hpp>
