// Pages of slots: who uses them, who may write into them, which are free.
//
// The pool never touches K or V; it counts. Invariants:
//   1. `used` is the number of slots of the page that some segment holds; slots at or past `fill` are unused.
//   2. A page has at most one writer. A page with a writer has room (fill < page size) and is in its writer's list of
//      tails; any number of segments may read it, each up to its own length.
//   3. A page is free exactly when used == 0 and it has no writer.
// Freeing and handing over never allocate.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/pool/lazily.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

/// Slots per page, chosen at run time.
struct RuntimePageSize {
  std::int32_t value = 16;
  constexpr std::int32_t get() const noexcept { return value; }
};

/// Slots per page as a constant: divisions become shifts.
template <std::int32_t N>
struct FixedPageSize {
  static_assert(N > 0);
  constexpr FixedPageSize() = default;
  constexpr explicit FixedPageSize(RuntimePageSize) noexcept {}
  static constexpr std::int32_t get() noexcept { return N; }
};

template <class P>
concept PageSizeChoice = std::constructible_from<P, RuntimePageSize> && requires(const P& p) {
  { p.get() } -> std::convertible_to<std::int32_t>;
};

struct Page {
  std::int32_t used = 0;        ///< slots held by segments
  std::int32_t fill = 0;        ///< one past the last used slot
  std::int32_t writer = kNone;  ///< index of the sequence that may write at `fill`
  std::int32_t next = kNone;    ///< in the writer's list of tails, or in the free list
  std::int32_t previous = kNone;
  bool avoid = false;  ///< the open step gives up its last slots: what is written behind them leaves a hole
};

template <PageSizeChoice PageSize = RuntimePageSize>
class PagePool {
 public:
  PagePool(std::int32_t n_pages, PageSize page_size, std::pmr::memory_resource* memory)
      : page_size_(page_size), pages_(static_cast<std::size_t>(n_pages), memory), tails_(memory), n_free_(n_pages) {
    for (std::int32_t i = 0; i < n_pages; ++i) at(i).next = i + 1 < n_pages ? i + 1 : kNone;
    first_free_ = n_pages > 0 ? 0 : kNone;
  }

  std::int32_t n_pages() const noexcept { return static_cast<std::int32_t>(pages_.size()); }
  std::int32_t n_free() const noexcept { return n_free_; }
  std::int32_t page_size() const noexcept { return page_size_.get(); }
  std::int32_t page_of(Slot slot) const noexcept { return slot / page_size_.get(); }
  const Page& operator[](std::int32_t page) const noexcept { return pages_[static_cast<std::size_t>(page)]; }

  /// Makes room to record the tails of writers [0, n). May allocate.
  void reserve_writers(std::int32_t n) {
    if (static_cast<std::size_t>(n) > tails_.size()) tails_.resize(static_cast<std::size_t>(n), kNone);
  }
  /// First page that `writer` may write into, or kNone.
  std::int32_t tail(std::int32_t writer) const noexcept { return tails_[static_cast<std::size_t>(writer)]; }
  std::int32_t room(std::int32_t page) const noexcept { return page_size_.get() - (*this)[page].fill; }

  /// Takes a free page for `writer`. REQUIRES: n_free() > 0.
  std::int32_t take(std::int32_t writer) noexcept {
    const std::int32_t page = first_free_;
    first_free_ = at(page).next;
    --n_free_;
    at(page) = Page{};
    link(page, writer);
    return page;
  }
  /// Writes `n` slots at the page's fill; the page leaves its writer's tails when it is full. Returns the first slot.
  Slot write(std::int32_t page, std::int32_t n) noexcept {
    Page& p = at(page);
    const Slot first = page * page_size_.get() + p.fill;
    p.fill += n;
    p.used += n;
    if (p.fill == page_size_.get()) unlink(page);
    return first;
  }
  /// Makes `writer` (kNone: nobody) the page's writer, in front of its tails. REQUIRES: a writer gets a page with room.
  void hand_over(std::int32_t page, std::int32_t writer) noexcept {
    if (at(page).writer != kNone) unlink(page);
    if (writer != kNone) link(page, writer);
  }

  /// Undoes `take`, `write` and `hand_over`, latest first: the page gets back the fill, the writer and, in its list,
  /// the place that it had before. Freed when that leaves it empty.
  void restore(std::int32_t page, const Page& before) noexcept {
    if (at(page).writer != kNone) unlink(page);
    at(page).used = before.used;
    at(page).fill = before.fill;
    if (before.writer != kNone) link(page, before.writer, before.previous);
    free_if_empty(page);
  }
  void set_avoid(std::int32_t page, bool avoid) noexcept { at(page).avoid = avoid; }
  /// Gives back used slots [first, first + count); pages that get room again and have no writer go to `tail_recipient`,
  /// if any.
  void release(Slot first, std::int32_t count, std::int32_t tail_recipient) noexcept {
    while (count > 0) {  // from the back, so that fill falls with every piece
      const std::int32_t page = page_of(first + count - 1);
      const Slot base = page * page_size_.get();
      const std::int32_t from = first > base ? first - base : 0;
      const std::int32_t to = first + count - base;
      Page& p = at(page);
      p.used -= to - from;
      if (p.fill == to) p.fill = from;
      if (p.used == 0) p.fill = 0;
      if (p.writer == kNone && p.used > 0 && room(page) > 0 && tail_recipient != kNone) link(page, tail_recipient);
      free_if_empty(page);
      count -= to - from;
    }
  }
  /// All tails of `writer` go to `tail_recipient`, or, with kNone, to nobody; empty pages become free.
  void hand_over_tails(std::int32_t writer, std::int32_t tail_recipient) noexcept {
    while (tail(writer) != kNone) {
      const std::int32_t page = tail(writer);
      unlink(page);
      if (at(page).used > 0 && tail_recipient != kNone) link(page, tail_recipient);
      free_if_empty(page);
    }
  }
  /// Frees the empty pages among the tails of `writer` beyond the first `keep` free slots.
  void trim(std::int32_t writer, std::int32_t keep) noexcept {
    std::int32_t kept = 0;
    for (std::int32_t page = tail(writer); page != kNone;) {
      const std::int32_t next = at(page).next;
      if (at(page).used == 0 && kept >= keep) {
        unlink(page);
        free_if_empty(page);
      } else {
        kept += room(page);
      }
      page = next;
    }
  }

 private:
  template <class, PageSizeChoice>
  friend class SnapshotAccess;
  Page& at(std::int32_t page) noexcept { return pages_[static_cast<std::size_t>(page)]; }
  std::int32_t& tail_of(std::int32_t writer) noexcept { return tails_[static_cast<std::size_t>(writer)]; }

  /// Puts the page into the list of `writer` behind `previous` (kNone: in front).
  void link(std::int32_t page, std::int32_t writer, std::int32_t previous = kNone) noexcept {
    Page& p = at(page);
    p.writer = writer;
    p.previous = previous;
    std::int32_t& before = previous == kNone ? tail_of(writer) : at(previous).next;
    p.next = before;
    if (p.next != kNone) at(p.next).previous = page;
    before = page;
  }
  void unlink(std::int32_t page) noexcept {
    Page& p = at(page);
    (p.previous != kNone ? at(p.previous).next : tail_of(p.writer)) = p.next;
    if (p.next != kNone) at(p.next).previous = p.previous;
    p.writer = p.next = p.previous = kNone;
  }
  void free_if_empty(std::int32_t page) noexcept {
    Page& p = at(page);
    if (p.used > 0 || p.writer != kNone) return;
    p = Page{};
    p.next = first_free_;
    first_free_ = page;
    ++n_free_;
  }

  [[no_unique_address]] PageSize page_size_;
  impl::Lazily<std::pmr::vector<Page>, PageSize> pages_;
  impl::Lazily<std::pmr::vector<std::int32_t>, PageSize> tails_;  // [writer] first page of its list
  std::int32_t first_free_ = kNone;
  std::int32_t n_free_ = 0;
};

}  // namespace anabranch
