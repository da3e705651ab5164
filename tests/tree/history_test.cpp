// Histories of a few views over pages of four slots.
#include <memory_resource>

#include <anabranch/tree/history.hpp>

#include "catch.hpp"

using namespace anabranch;

namespace {

constexpr SequenceIndex kWriter{0};

struct Tables {
  std::pmr::memory_resource* memory = std::pmr::get_default_resource();
  PagePool<> pool{8, RuntimePageSize{4}, memory};
  History<RuntimePageSize> history{pool, memory};
  Tables() { pool.reserve_writers(1); }

  /// A committed segment of `n` tokens on pages of its own, with one reference: the caller's.
  SegmentIndex segment(Position first, std::int32_t n) {
    const SegmentIndex index = history.add_segment(first, history.next_ordinal(), kNoIndex);
    Segment& s = history.segment(index);
    s.length = s.committed = n;
    while (n > 0) {
      const PageIndex page = pool.take(kWriter);
      const std::int32_t count = std::min(n, 4);
      s.add_slots(pool.write(page, count), count);
      if (count < 4) pool.hand_over(page, kNoIndex);
      n -= count;
    }
    return index;
  }
  /// A view of the first `end` tokens after `parent`; takes over the references to both.
  NodeIndex view(NodeIndex parent, SegmentIndex s, std::int32_t end) {
    const NodeIndex node = history.add_node(parent, s, end);
    history.release_segment(s, kNoIndex);
    return node;
  }
};

}  // namespace

TEST_CASE("a segment finds the slot of each token, and gives a view of its runs") {
  Segment s(std::pmr::get_default_resource());
  s.ordinal = 3;
  s.add_slots(8, 4);
  s.add_slots(12, 2);  // continues the run
  s.add_slots(4, 3);
  REQUIRE(s.runs.size() == 2);
  CHECK(s.n_slots() == 9);
  CHECK(s.slot_of(0) == 8);
  CHECK(s.slot_of(5) == 13);
  CHECK(s.slot_of(6) == 4);
  const View view = s.view(4, 7);
  CHECK(view.n_runs == 2);
  CHECK(view.begin == 4);
  CHECK(view.end == 7);
  CHECK(view.segment == 3);
  CHECK(s.view(6, 9).n_runs == 1);
  s.forget_slots(4);
  CHECK(s.n_slots() == 4);
  s.forget_slots(0);
  CHECK(s.runs.empty());
}

TEST_CASE("a history counts the tokens of all its views") {
  Tables t;
  const NodeIndex older = t.view(kNoIndex, t.segment(0, 5), 3);
  const NodeIndex newer = t.view(older, t.segment(3, 2), 2);
  CHECK(t.history.n_tokens(newer) == 5);
  CHECK(t.history.n_tokens(older) == 3);
  CHECK(t.history.n_tokens(kNoIndex) == 0);
}

TEST_CASE("a shared part lives until its last reference is dropped") {
  Tables t;
  const NodeIndex trunk = t.view(kNoIndex, t.segment(0, 5), 5);
  t.history.retain_node(trunk);
  const NodeIndex a = t.view(trunk, t.segment(5, 1), 1);
  const NodeIndex b = t.view(trunk, t.segment(5, 6), 6);
  CHECK(t.pool.n_free() == 3);
  t.history.release_node(a, kNoIndex);
  CHECK(t.pool.n_free() == 4);
  CHECK(t.history.nodes().in_use(trunk));
  t.history.release_node(b, kNoIndex);
  CHECK(t.pool.n_free() == 8);
  CHECK_FALSE(t.history.nodes().in_use(trunk));
}

TEST_CASE("a cut between views drops the later ones, a cut inside a view shortens it") {
  Tables t;
  const NodeIndex older = t.view(kNoIndex, t.segment(0, 5), 5);
  NodeIndex head = t.view(older, t.segment(5, 4), 4);
  Position next = 9;
  t.history.retain_node(head);
  CHECK(t.history.cut(head, 9, next) == head);
  CHECK(next == 9);
  const NodeIndex at_border = t.history.cut(head, 5, next);
  CHECK(at_border == older);
  CHECK(next == 5);
  t.history.retain_node(older);
  const NodeIndex inside = t.history.cut(older, 2, next);
  CHECK(inside != older);
  CHECK(next == 2);
  CHECK(t.history.n_tokens(inside) == 2);
  CHECK(t.history.node(inside).segment == t.history.node(older).segment);
}

TEST_CASE("what nobody sees of a segment goes back to the pool when it is settled") {
  Tables t;
  const SegmentIndex s = t.segment(0, 7);
  t.view(kNoIndex, s, 2);
  CHECK(t.history.seen(t.history.segment(s)) == 2);
  CHECK(t.pool.n_free() == 6);
  t.history.settle(s, kNoIndex);
  CHECK(t.history.segment(s).length == 2);
  CHECK(t.pool.n_free() == 7);
}

TEST_CASE("an open segment is merged into the view before it") {
  Tables t;
  const SegmentIndex older = t.segment(0, 4);
  const NodeIndex head = t.view(kNoIndex, older, 4);
  SegmentIndex open = t.segment(4, 2);
  t.history.reserve_merge(head, open);
  CHECK(t.history.merge_open(head, open, 6) == kNoIndex);
  CHECK(open == older);
  CHECK(t.history.segment(older).length == 6);
  CHECK(t.history.segment(older).slot_of(5) == 5);
  CHECK(t.history.segment(older).refs == 1);
}

TEST_CASE("nothing is merged when somebody else sees the view, or when the positions have a gap") {
  Tables t;
  const NodeIndex shared = t.view(kNoIndex, t.segment(0, 4), 4);
  t.history.retain_node(shared);
  SegmentIndex open = t.segment(4, 2);
  t.history.reserve_merge(shared, open);
  CHECK(t.history.merge_open(shared, open, 6) == shared);
  const NodeIndex own = t.view(kNoIndex, t.segment(0, 4), 4);
  SegmentIndex later = t.segment(9, 2);
  t.history.reserve_merge(own, later);
  CHECK(t.history.merge_open(own, later, 11) == own);
  CHECK(t.history.segment(later).length == 2);
}
