// Pages of four slots: who writes them, and when they are free. Every case runs with both kinds of page size.
#include <memory_resource>
#include <vector>

#include <anabranch/pool/page_pool.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

constexpr SequenceIndex kAnn{0}, kBob{1};

template <class PageSize>
struct Pages : PagePool<PageSize> {
  explicit Pages(std::int32_t n)
      : PagePool<PageSize>(n, PageSize(RuntimePageSize{4}), std::pmr::get_default_resource()) {
    this->reserve_writers(2);
  }
  /// Pages that the writer may write into, first choice first.
  std::vector<std::int32_t> tails(SequenceIndex writer) const {
    std::vector<std::int32_t> result;
    for (PageIndex p = this->tail(writer); p != kNoIndex; p = (*this)[p].next) result.push_back(p.value);
    return result;
  }
  /// Takes a page for the writer and fills its first `n` slots.
  PageIndex filled(SequenceIndex writer, std::int32_t n) {
    const PageIndex page = this->take(writer);
    this->write(page, n);
    return page;
  }
};
using List = std::vector<std::int32_t>;

}  // namespace

TEMPLATE_TEST_CASE("a page belongs to its writer until it is full", "", RuntimePageSize, FixedPageSize<4>) {
  Pages<TestType> pool(3);
  CHECK(pool.n_slots() == 12);
  const PageIndex page = pool.take(kAnn);
  CHECK(page == PageIndex(0));
  CHECK(pool.n_free() == 2);
  CHECK(pool.write(page, 3) == 0);
  CHECK(pool.room(page) == 1);
  CHECK(pool.tails(kAnn) == List{0});
  CHECK(pool.write(page, 1) == 3);
  CHECK(pool.tails(kAnn).empty());
  CHECK(pool[page].writer == kNoIndex);
  CHECK(pool.filled(kBob, 1) == PageIndex(1));
  CHECK(pool.page_of(7) == PageIndex(1));
  CHECK(pool.first_slot(PageIndex(2)) == 8);
}

TEMPLATE_TEST_CASE("slots given back at the end can be written again, those before leave a hole", "", RuntimePageSize,
                   FixedPageSize<4>) {
  Pages<TestType> pool(1);
  const PageIndex page = pool.filled(kAnn, 4);
  pool.release(2, 2, kNoIndex);
  CHECK(pool[page].used == 2);
  CHECK(pool[page].fill == 2);
  CHECK(pool[page].writer == kNoIndex);
  pool.release(0, 1, kNoIndex);
  CHECK(pool[page].used == 1);
  CHECK(pool[page].fill == 2);
  CHECK(pool.n_free() == 0);
  pool.release(1, 1, kNoIndex);
  CHECK(pool.n_free() == 1);
}

TEMPLATE_TEST_CASE("a page that gets room goes to the recipient", "", RuntimePageSize, FixedPageSize<4>) {
  Pages<TestType> pool(3);
  for (int i = 0; i < 3; ++i) pool.filled(kAnn, 4);
  pool.release(2, 8, kBob);  // two slots of page 0, all of page 1, two of page 2
  CHECK(pool.n_free() == 1);
  CHECK(pool[PageIndex(1)].used == 0);
  CHECK(pool.room(PageIndex(0)) == 2);
  CHECK(pool.room(PageIndex(2)) == 0);  // its last slot is used: there is a hole, but no room
  CHECK(pool.tails(kBob) == List{0});
}

TEMPLATE_TEST_CASE("tails go over to another writer, empty pages become free", "", RuntimePageSize, FixedPageSize<4>) {
  Pages<TestType> pool(3);
  pool.filled(kAnn, 1);
  pool.take(kAnn);
  pool.filled(kAnn, 2);
  CHECK(pool.tails(kAnn) == List{2, 1, 0});
  pool.hand_over_tails(kAnn, kBob);
  CHECK(pool.tails(kAnn).empty());
  CHECK(pool.tails(kBob) == List{0, 2});
  CHECK(pool.n_free() == 1);
  pool.hand_over(PageIndex(2), kAnn);
  CHECK(pool.tails(kBob) == List{0});
  CHECK(pool.tails(kAnn) == List{2});
  pool.hand_over_tails(kBob, kNoIndex);
  CHECK(pool[PageIndex(0)].writer == kNoIndex);
  CHECK(pool[PageIndex(0)].used == 1);
}

TEMPLATE_TEST_CASE("trim frees empty tails beyond the slots that are kept", "", RuntimePageSize, FixedPageSize<4>) {
  Pages<TestType> pool(4);
  pool.take(kAnn);
  pool.take(kAnn);
  pool.filled(kAnn, 3);
  pool.take(kAnn);
  CHECK(pool.tails(kAnn) == List{3, 2, 1, 0});
  pool.trim(kAnn, 5);  // page 3 has four free slots, page 2 one
  CHECK(pool.tails(kAnn) == List{3, 2});
  CHECK(pool.n_free() == 2);
  pool.trim(kAnn, 0);
  CHECK(pool.tails(kAnn) == List{2});
}

TEMPLATE_TEST_CASE("restore undoes a write and a change of writer, latest first", "", RuntimePageSize,
                   FixedPageSize<4>) {
  Pages<TestType> pool(2);
  pool.filled(kAnn, 1);
  pool.filled(kAnn, 1);
  const PageIndex page(0);
  const Page at_first = pool[page];
  pool.hand_over(page, kBob);
  const Page handed_over = pool[page];
  pool.write(page, 3);
  pool.restore(page, handed_over);
  CHECK(pool.tails(kBob) == List{0});
  CHECK(pool[page].fill == 1);
  pool.restore(page, at_first);
  CHECK(pool.tails(kAnn) == List{1, 0});
  CHECK(pool.tails(kBob).empty());
  pool.restore(page, Page{});
  CHECK(pool.n_free() == 1);
}
