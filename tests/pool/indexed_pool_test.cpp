// Tables of reusable cells, and their indices.
#include <memory_resource>
#include <type_traits>
#include <vector>

#include <anabranch/pool/indexed_pool.hpp>
#include <anabranch/pool/indexed_vector.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

struct Word {
  explicit Word(std::pmr::memory_resource* memory) : letters(memory) {}
  std::pmr::vector<char> letters;
};
using WordIndex = Index<Word>;

}  // namespace

TEST_CASE("indices of different tables do not convert into each other, nor from plain numbers") {
  STATIC_REQUIRE_FALSE(std::is_convertible_v<PageIndex, SequenceIndex>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<PageIndex, SequenceIndex>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::int32_t, PageIndex>);
  STATIC_REQUIRE(std::is_convertible_v<NoIndex, PageIndex>);
  CHECK(PageIndex{} == kNoIndex);
  CHECK(PageIndex(0) != kNoIndex);
  CHECK(PageIndex(1) < PageIndex(2));
}

TEST_CASE("a freed cell is the next that is given out, with the value of its last owner") {
  IndexedPool<Word, WordIndex> words(std::pmr::get_default_resource());
  const WordIndex a = words.acquire();
  const WordIndex b = words.acquire();
  CHECK(a == WordIndex(0));
  CHECK(b == WordIndex(1));
  words[a].letters = {'x', 'y'};
  words.release(a);
  CHECK_FALSE(words.in_use(a));
  CHECK(words.in_use(b));
  CHECK(words.acquire() == a);
  CHECK(words[a].letters.size() == 2);
  CHECK(words.acquire() == WordIndex(2));
  CHECK(words.size() == 3);
  CHECK_FALSE(words.in_use(WordIndex(3)));
  CHECK_FALSE(words.in_use(kNoIndex));
}

TEST_CASE("a reserved table gives out cells without allocating") {
  std::pmr::monotonic_buffer_resource memory(4096);
  IndexedPool<Word, WordIndex> words(&memory);
  words.release(words.acquire());
  words.reserve(5);
  const Word* const first = &words[WordIndex(0)];
  for (std::int32_t i = 0; i < 5; ++i) CHECK(words.acquire() == WordIndex(i));
  CHECK(&words[WordIndex(0)] == first);
}

TEST_CASE("a rebuilt table has the given cells in use, and gives out the lowest free one first") {
  IndexedPool<Word, WordIndex> words(std::pmr::get_default_resource());
  words.acquire();
  const std::vector<WordIndex> used{WordIndex(1), WordIndex(3)};
  words.rebuild(5, used);
  CHECK(words.size() == 5);
  for (std::int32_t i = 0; i < 5; ++i) CHECK(words.in_use(WordIndex(i)) == (i == 1 || i == 3));
  CHECK(words.acquire() == WordIndex(0));
  CHECK(words.acquire() == WordIndex(2));
  CHECK(words.acquire() == WordIndex(4));
  CHECK(words.acquire() == WordIndex(5));
}

TEST_CASE("a vector with an index type says where an item went, and only grows") {
  IndexedVector<int, PageIndex> numbers(std::pmr::get_default_resource());
  CHECK(numbers.push_back(7) == PageIndex(0));
  CHECK(numbers.push_back(8) == PageIndex(1));
  numbers.grow(4, 9);
  CHECK(std::vector<int>(numbers.begin(), numbers.end()) == std::vector<int>{7, 8, 9, 9});
  numbers.grow(1, 0);
  CHECK(numbers.size() == 4);
  CHECK(numbers[PageIndex(1)] == 8);
}
