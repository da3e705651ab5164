// The order of rows and their groups for a few histories, without a cache.
#include <memory_resource>
#include <string>
#include <vector>

#include <anabranch/mask/row_forest.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

/// Segments on one run of slots each, their histories, and blocks of new tokens.
struct Forest {
  std::pmr::memory_resource* memory = std::pmr::get_default_resource();
  PagePool<> pool{1, RuntimePageSize{4}, memory};
  History<RuntimePageSize> history{pool, memory};
  RowForest<RuntimePageSize> forest{memory};
  RowForest<RuntimePageSize>::Blocks blocks{memory};

  /// A segment of `n` tokens, the first in slot `first`.
  SegmentIndex segment(Slot first, std::int32_t n) {
    const SegmentIndex index = history.add_segment(0, history.next_ordinal(), kNoIndex);
    history.segment(index).add_slots(first, n);
    return index;
  }
  NodeIndex view(NodeIndex parent, SegmentIndex s, std::int32_t end) { return history.add_node(parent, s, end); }
  /// Tokens [begin, end) of a segment behind the history `base` are new rows.
  void rows(NodeIndex base, SegmentIndex s, std::int32_t begin, std::int32_t end) {
    blocks.push_back({s, base, begin, end, 0});
  }

  /// "[0,2) causal 0+2" per group, in order.
  std::vector<std::string> groups(std::uint64_t epoch = 1) {
    forest.build(history, epoch, blocks);
    std::vector<std::string> result;
    for (const VisibilityGroup& group : forest.groups()) {
      std::string text = "[" + std::to_string(group.row_begin) + "," + std::to_string(group.row_end) + ") " +
                         (group.visibility == Visibility::causal ? "causal" : "full");
      for_each_run(group, forest.views(), [&](Slot first, std::int32_t count) {
        text += " " + std::to_string(first) + "+" + std::to_string(count);
      });
      result.push_back(text);
    }
    return result;
  }
};
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("rows that go on with a segment see its earlier tokens, and each other causally") {
  Forest f;
  f.rows(kNoIndex, f.segment(0, 6), 4, 6);
  CHECK(f.groups() == Texts{"[0,2) causal 0+6"});
}

TEST_CASE("branches share one group over the trunk, and each has one of its own") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 10), 10);
  f.rows(trunk, f.segment(20, 1), 0, 1);
  f.rows(trunk, f.segment(30, 2), 0, 2);
  CHECK(f.groups() == Texts{"[0,3) full 0+10", "[0,1) full 20+1", "[1,3) causal 30+2"});
  CHECK(f.blocks[BlockIndex(0)].first_row == 0);
  CHECK(f.blocks[BlockIndex(1)].first_row == 1);
}

TEST_CASE("views of different lengths of one segment are split where they differ") {
  Forest f;
  const SegmentIndex s = f.segment(0, 10);
  const NodeIndex whole = f.view(kNoIndex, s, 10), half = f.view(kNoIndex, s, 6);
  f.rows(whole, f.segment(20, 1), 0, 1);
  f.rows(half, f.segment(30, 1), 0, 1);
  CHECK(f.groups() == Texts{"[0,2) full 0+6", "[0,1) full 6+4 20+1", "[1,2) full 30+1"});
}

TEST_CASE("rows come in the order of their segments, whatever the order of the blocks") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 3), 3);
  const SegmentIndex first = f.segment(20, 1), second = f.segment(30, 1);
  f.rows(trunk, second, 0, 1);
  f.rows(trunk, first, 0, 1);
  f.groups();
  CHECK(f.forest.order()[0] == BlockIndex(1));
  CHECK(f.blocks[BlockIndex(0)].first_row == 1);
  CHECK(f.blocks[BlockIndex(1)].first_row == 0);
}

TEST_CASE("a row that later rows see through a view of it joins their group") {
  Forest f;
  const SegmentIndex trunk = f.segment(0, 4);
  f.rows(kNoIndex, trunk, 3, 4);
  const NodeIndex fork = f.view(kNoIndex, trunk, 4);
  f.rows(fork, f.segment(20, 1), 0, 1);
  f.rows(fork, f.segment(30, 1), 0, 1);
  CHECK(f.groups() == Texts{"[0,3) full 0+4", "[1,2) full 20+1", "[2,3) full 30+1"});
}

TEST_CASE("a forest that is built again knows nothing of the build before") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 5), 5);
  f.rows(trunk, f.segment(20, 2), 0, 2);
  CHECK(f.groups() == Texts{"[0,2) causal 0+5 20+2"});
  f.blocks.clear();
  f.rows(trunk, f.segment(30, 1), 0, 1);
  CHECK(f.groups() == Texts{"[0,1) full 0+5 30+1"});
}

TEST_CASE("sequences that only went on take over the forest, in another order and with other numbers of rows") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 10), 10);
  const SegmentIndex first = f.segment(20, 1), second = f.segment(30, 2);
  f.rows(trunk, first, 0, 1);
  f.rows(trunk, second, 0, 2);
  CHECK(f.groups(7) == Texts{"[0,3) full 0+10", "[0,1) full 20+1", "[1,3) causal 30+2"});
  f.history.segment(first).add_slots(21, 2);
  f.history.segment(second).add_slots(32, 1);
  for (const std::uint64_t epoch : {7, 8}) {  // 7 is that of the build before, 8 is not
    f.blocks.clear();
    f.rows(trunk, second, 2, 3);
    f.rows(trunk, first, 1, 3);
    CHECK(f.groups(epoch) == Texts{"[0,3) full 0+10", "[0,2) causal 20+3", "[2,3) full 30+3"});
    CHECK(f.blocks[BlockIndex(0)].first_row == 2);
    CHECK(f.blocks[BlockIndex(1)].first_row == 0);
  }
}

TEST_CASE("a forest of other sequences is not taken over") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 10), 10);
  const SegmentIndex first = f.segment(20, 3), second = f.segment(30, 1);
  f.rows(trunk, first, 0, 1);
  CHECK(f.groups(7) == Texts{"[0,1) full 0+10 20+1"});
  f.blocks.clear();
  f.rows(trunk, second, 0, 1);
  CHECK(f.groups(7) == Texts{"[0,1) full 0+10 30+1"});
  f.rows(trunk, first, 1, 3);
  CHECK(f.groups(7) == Texts{"[0,3) full 0+10", "[0,2) causal 20+3", "[2,3) full 30+1"});
}

TEST_CASE("a serial sequence takes over its one group") {
  Forest f;
  const NodeIndex trunk = f.view(kNoIndex, f.segment(0, 10), 10);
  const SegmentIndex s = f.segment(20, 4);
  for (const std::int32_t begin : {0, 1, 2}) {
    f.blocks.clear();
    f.rows(trunk, s, begin, begin + 1);
    CHECK(f.groups(7) == Texts{"[0,1) full 0+10 20+" + std::to_string(begin + 1)});
  }
  f.blocks.clear();
  f.rows(trunk, s, 2, 4);
  CHECK(f.groups(7) == Texts{"[0,2) causal 0+10 20+4"});
}
