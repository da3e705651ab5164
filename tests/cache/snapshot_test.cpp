// A saved cache goes on where it stood; bytes that are not one are refused, and never crash.
#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// A cache with a bit of everything: a join, open branches, nested ones, a detached one, a hold, a freed sequence.
struct Busy {
  KvCache cache{{.n_pages = 40, .page_size = 4, .max_sequences = 50, .max_depth = 6, .max_position = 500}};
  SequenceId trunk = cache.create_sequence(2);
  std::vector<SequenceId> kids, inner;
  Busy() {
    in_step(cache, [&](Step& step) {
      step.append_unknown(trunk, 9);
      kids = step.fork(trunk, 3, {.positions = Positions::reserved(8)});
      for (const SequenceId kid : kids) step.append_unknown(kid, 3);
    });
    in_step(cache, [&](Step& step) {
      step.join(trunk, {kids[1]});
      step.append_unknown(trunk, 2);
      inner = step.fork(kids[0], 3, {.positions = Positions::longest});
      step.append_unknown(inner[0], 2);
      step.drop(inner[2]);
      step.detach(kids[2]);
      step.hold(trunk, 3);
    });
  }
};

std::int32_t busy_index(SequenceId sequence) { return static_cast<std::int32_t>(sequence.index); }

std::string refusal(const std::vector<std::byte>& bytes) {
  try {
    Snapshot::load(bytes);
  } catch (const Error& error) {
    return error.status() == Status::bad_snapshot ? error.what() : std::string("wrong status: ") + error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a restored cache has the same sequences, histories and free pages, and goes on alike") {
  Busy busy;
  KvCache copy(Snapshot::load(busy.cache.snapshot().save()));
  CHECK(violations(copy) == "");
  CHECK(copy.n_free_pages() == busy.cache.n_free_pages());
  CHECK(copy.n_sequences() == busy.cache.n_sequences());
  for (const SequenceId sequence : {busy.trunk, busy.kids[0], busy.kids[2], busy.inner[0], busy.inner[1]}) {
    CHECK(copy.slots_of(sequence) == busy.cache.slots_of(sequence));
    CHECK(copy.positions_of(sequence) == busy.cache.positions_of(sequence));
    CHECK(copy.next_position(sequence) == busy.cache.next_position(sequence));
    CHECK(copy.children(sequence) == busy.cache.children(sequence));
    CHECK(copy.position_limit(sequence) == busy.cache.position_limit(sequence));
  }
  CHECK_FALSE(copy.alive(busy.kids[1]));
  CHECK_FALSE(copy.alive(busy.inner[2]));
  for (KvCache* cache : {&busy.cache, &copy}) {
    in_step(*cache, [&](Step& step) {
      step.join(busy.kids[0], {busy.inner[1], busy.inner[0]});
      step.join(busy.trunk, {busy.kids[0]});
      step.append_unknown(busy.trunk, 6);
      step.rewind(busy.trunk, 20);
    });
  }
  CHECK(copy.slots_of(busy.trunk) == busy.cache.slots_of(busy.trunk));
  CHECK(copy.next_position(busy.trunk) == busy.cache.next_position(busy.trunk));
  CHECK(copy.snapshot().save() == busy.cache.snapshot().save());
}

TEST_CASE("limits and options travel with a snapshot") {
  Busy busy;
  const Snapshot snapshot = busy.cache.snapshot();
  KvCache copy(snapshot);
  CHECK(copy.options().max_sequences == 50);
  CHECK(copy.options().max_depth == 6);
  CHECK(copy.options().max_position == 500);
  CHECK(copy.page_size() == 4);
}

TEST_CASE("an empty cache can be saved and restored") {
  KvCache cache({.n_pages = 3});
  KvCache copy(Snapshot::load(cache.snapshot().save()));
  CHECK(copy.n_free_pages() == 3);
  const SequenceId sequence = copy.create_sequence();
  append(copy, sequence, 20);
  CHECK(copy.n_tokens(sequence) == 20);
}

TEST_CASE("a snapshot does not change when its cache does") {
  Busy busy;
  const Snapshot snapshot = busy.cache.snapshot();
  const auto bytes = snapshot.save();
  in_step(busy.cache, [&](Step& step) { step.drop(busy.trunk); });
  CHECK(snapshot.save() == bytes);
  CHECK(snapshot.check().empty());
}

TEST_CASE("damaged bytes are refused: every byte changed, every length cut, something added") {
  Busy busy;
  const std::vector<std::byte> good = busy.cache.snapshot().save();
  REQUIRE(refusal(good) == "");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<std::byte> bytes = good;
    bytes[i] ^= std::byte{0x41};
    INFO("byte " << i);
    CHECK(refusal(bytes) != "");
    CHECK(refusal(bytes).rfind("wrong status", 0) != 0);
  }
  for (std::size_t n = 0; n < good.size(); ++n) {
    INFO("first " << n << " bytes");
    CHECK(refusal({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)}) != "");
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  CHECK(refusal(longer) != "");
}

TEST_CASE("bytes of another version are refused by name") {
  std::vector<std::byte> bytes = Busy().cache.snapshot().save();
  bytes[8] = std::byte{77};
  CHECK(refusal(bytes).find("77") != std::string::npos);
}

TEST_CASE("flags and counts that no writer makes are refused, and no memory is taken for them") {
  const std::vector<std::byte> good = KvCache({.n_pages = 1}).snapshot().save();
  const std::size_t body = 28;  // magic, version, length, checksum
  const std::size_t flag = body + 7 * 4, n_pages = flag + 1 + 8;
  const auto with = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> bytes = good;
    bytes[at] = std::byte{value};
    const std::uint64_t checksum = impl::fnv1a(std::span(bytes).subspan(body));
    for (std::size_t i = 0; i < 8; ++i) bytes[20 + i] = static_cast<std::byte>(checksum >> (8 * i) & 0xff);
    return refusal(bytes);
  };
  CHECK(with(flag, 1) == "");
  CHECK(with(flag, 7) == "snapshot has 7 where 0 or 1 is expected");
  CHECK(with(n_pages, 4) == "snapshot claims 4 elements of 12 bytes or more in 45 bytes");
}

TEST_CASE("a pool of two thousand million slots on one page is checked by what is there") {
  KvCache cache({.n_pages = 1, .page_size = kUnlimited});
  append(cache, cache.create_sequence(), 3);
  CHECK(violations(cache) == "");
}

TEST_CASE("sequences of a restored cache go on in its first generation") {
  KvCache cache({.n_pages = 4, .first_generation = 77});
  cache.create_sequence();
  KvCache copy(Snapshot::load(cache.snapshot().save()));
  CHECK(copy.options().first_generation == 77);
  CHECK(copy.create_sequence() == SequenceId{1, 77});
}

TEST_CASE("a snapshot with another page size or policy than the cache's type is refused by name") {
  const Snapshot snapshot = Busy().cache.snapshot();
  const auto text = [&](auto&& restore) -> std::string {
    try {
      restore();
    } catch (const Error& error) {
      return error.status() == Status::bad_snapshot ? error.what() : "wrong status";
    }
    return "";
  };
  CHECK(text([&] { BasicKvCache<NoPayload, Positions, FixedPageSize<8>> cache(snapshot); }) ==
        "snapshot with pages of 4 slots, for a cache made for pages of 8");
  Snapshot bad = snapshot;
  const auto child = std::ranges::find_if(bad.sequences, [](const auto& e) { return e.alive && e.parent != kNone; });
  child->policy = std::vector<std::byte>(8, std::byte{9});
  CHECK(text([&] { KvCache cache(bad); }).find("kinds are 0 to 3") != std::string::npos);
  child->policy.resize(5);
  CHECK(text([&] { KvCache cache(bad); }).find("of 5 bytes; this cache's has 8") != std::string::npos);
  bad = snapshot;
  bad.sequences[1].limit = 500;  // reserved: 8 positions from 11 on
  CHECK(text([&] { KvCache cache(bad); }) == "sequence 1 with limit 500; its positions end at 19");
}

TEST_CASE("each field of a snapshot is held against the others, and refused with its value and the limit") {
  const Busy busy;
  const Snapshot good = busy.cache.snapshot();
  const auto joined_node = std::ranges::find_if(good.nodes, [&](const auto& n) {
    return n.ordinal != good.segments[static_cast<std::size_t>(n.segment)].ordinal;
  });
  REQUIRE(joined_node != good.nodes.end());
  const auto joined = static_cast<std::size_t>(joined_node->index);
  const auto gone = static_cast<std::size_t>(busy.kids[1].index);
  const auto root = static_cast<std::size_t>(busy.trunk.index);
  const auto kid = static_cast<std::size_t>(busy.kids[0].index);
  const auto detached = static_cast<std::size_t>(busy.kids[2].index);
  const auto open = static_cast<std::size_t>(good.sequences[root].open);
  const auto closed = static_cast<std::size_t>(good.nodes[0].segment);
  const auto n_nodes = static_cast<std::int32_t>(good.nodes.size());
  struct Case {
    std::function<void(Snapshot&)> change;
    std::string text;
  };
  const std::vector<Case> cases{
      {[](Snapshot& s) { s.page_size = 0; }, "page size 0; it can be 1 to 2147483647"},
      {[](Snapshot& s) { s.page_size = kUnlimited; }, "40 pages of 2147483647 slots are more than 2147483647 slots"},
      {[](Snapshot& s) { s.pages.clear(), s.n_pages = 0; }, "number of pages 0; it can be 1 to 2147483647"},
      {[](Snapshot& s) { s.n_pages = 41; }, "40 pages, 41 expected"},
      {[](Snapshot& s) { s.max_sequences = 3; }, "number of sequences 5; it can be 0 to 3"},
      {[](Snapshot& s) { s.max_depth = 1; }, "depth 2; it can be 1 to 1"},
      {[](Snapshot& s) { s.max_depth = -1; }, "max_depth -1; it can be 0 to 2147483647"},
      {[](Snapshot& s) { s.max_position = 20; }, "first position"},
      {[](Snapshot& s) { s.ordinal = ~std::uint64_t{0}; },
       "last ordinal 18446744073709551615; it can be 0 to 9223372036854775808"},
      {[](Snapshot& s) { s.ordinal = 2; }, "; it can be 1 to 2"},
      {[](Snapshot& s) { s.n_free_pages += 1; }, "free pages"},
      {[](Snapshot& s) { s.pages[0].used = 3; }, "page 0: used slots 3; it must be 4"},
      {[](Snapshot& s) { s.pages[0].fill = 5; }, "page 0: fill 5; it can be 4 to 4"},
      {[](Snapshot& s) { s.pages[0].writer = 1000; }, "page 0: writer 1000; it can be -1 to"},
      {[](Snapshot& s) { s.pages[0].writer = 0; }, "page 0: writer 0; it must be -1"},
      {[](Snapshot& s) { s.segments[0].index = 7; }, "segment 7 stands at place 0"},
      {[](Snapshot& s) { s.segments[0].ordinal = 0; }, "ordinal 0; it can be 1 to"},
      {[](Snapshot& s) { s.segments[0].ordinal = s.segments[1].ordinal; }, "shares ordinal"},
      {[](Snapshot& s) { s.segments[0].first = kUnlimited; }, "segment 0: first position 2147483647; it can be 0 to"},
      {[](Snapshot& s) { s.segments[0].length = kUnlimited; }, "segment 0: length 2147483647; it can be 1 to"},
      {[](Snapshot& s) { s.segments[0].refs += 1; }, "segment 0: references"},
      {[&](Snapshot& s) { s.segments[open].writer = kNone; }, "writer -1; it must be 0"},
      {[&](Snapshot& s) { s.segments[closed].writer = 0; }, "which writes segment"},
      {[](Snapshot& s) { s.segments[0].runs[0].first = 1000; }, "first slot of a run 1000; it can be 0 to"},
      {[](Snapshot& s) { s.segments[0].runs[0].count = 0; }, "slots of a run 0; it can be 1 to"},
      {[](Snapshot& s) { s.segments[0].runs[0].offset = 1; }, "offset of a run 1; it must be 0"},
      {[](Snapshot& s) { s.segments[0].runs[0].first = s.segments[1].runs[0].first; }, "is held by segments"},
      {[](Snapshot& s) { s.segments[0].runs.clear(); }, "segment 0: slots 0; it must be"},
      {[](Snapshot& s) { s.nodes[0].ordinal = 0; }, "ordinal 0; it can be 1 to"},
      {[](Snapshot& s) { s.nodes[0].rule.shift += 1; }, "of a view that was not joined it must be max("},
      {[&](Snapshot& s) { s.nodes[joined].rule.floor = kUnlimited + WidePosition{1}; }, "rule max(2147483648, ...)"},
      {[&](Snapshot& s) { s.nodes[joined].rule.shift = kNever - 1; }, "this can be -1152921504606846976 or"},
      {[&](Snapshot& s) { s.nodes[joined].next_before += 1; }, "position before it"},
      {[&](Snapshot& s) { s.nodes[0].parent = n_nodes; }, "node 0: parent"},
      {[](Snapshot& s) { s.nodes[0].segment = -1; }, "node 0: segment -1; it can be 0 to"},
      {[](Snapshot& s) { s.nodes[0].end = 0; }, "node 0: end 0; it can be 1 to 9"},
      {[](Snapshot& s) { s.nodes[0].n_tokens = 8; }, "node 0: tokens 8; it must be 9"},
      {[](Snapshot& s) { s.nodes[0].refs = 0; }, "node 0: references 0; it must be"},
      {[&](Snapshot& s) { s.sequences[root].fork_node = 1000; }, "sequence 0: fork node 1000; it can be -1 to"},
      {[&](Snapshot& s) { s.sequences[root].fork_tokens = 1; }, "sequence 0: tokens at the fork 1; it must be 0"},
      {[&](Snapshot& s) { s.sequences[root].limit = 499; }, "sequence 0: limit 499; it can be 500 to 500"},
      {[&](Snapshot& s) { s.sequences[root].next = 7; }, "sequence 0: next position 7; it must be"},
      {[&](Snapshot& s) { s.sequences[root].start = -1; }, "sequence 0: start -1; it can be 0 to 2147483647"},
      {[&](Snapshot& s) { s.sequences[root].hold = 161; }, "sequence 0: hold 161; it can be 0 to 160"},
      {[&](Snapshot& s) { s.sequences[root].reserved_ordinal = 1000; }, "ordinal 1000; it can be 1 to"},
      {[&](Snapshot& s) { s.sequences[kid].reserved_ordinal = s.nodes[0].ordinal; }, "shares ordinal"},
      {[&](Snapshot& s) { std::ranges::reverse(s.sequences[kid].tails), s.sequences[kid].tails.push_back(39); },
       "page 39: writer -1; it must be"},
      {[&](Snapshot& s) { s.sequences[kid].head = s.sequences[kid].fork_node = kNone; },
       "sequence 1: tokens at the fork"},
      {[&](Snapshot& s) { s.sequences[kid].children.pop_back(); }, "is unknown to its parent 1"},
      {[&](Snapshot& s) { s.sequences[kid].children.push_back(s.sequences[kid].children[0]); }, "is twice among"},
      {[&](Snapshot& s) { s.sequences[kid].parent = busy_index(busy.inner[0]); }, "whose parent is"},
      {[&](Snapshot& s) { s.sequences[kid].limit = 501; }, "limit 501; it can be 0 to 500"},
      {[&](Snapshot& s) { s.sequences[detached].head = s.sequences[root].head; }, "references"},
      {[&](Snapshot& s) { s.sequences[gone].hold = 1; }, "is gone: hold 1; it must be 0"},
      {[&](Snapshot& s) { s.sequences[gone].has_rejected = true; }, "is gone: rejected rows 1; it must be 0"},
      {[&](Snapshot& s) { s.sequences[gone].policy.resize(8); }, "is gone: bytes of a policy 8; it must be 0"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Snapshot bad = good;
    cases[i].change(bad);
    INFO("case " << i << ": " << cases[i].text);
    const std::string text = refusal(bad.save());
    INFO(text);
    CHECK(text.find(cases[i].text) != std::string::npos);
    CHECK(status_of([&] { KvCache cache(bad); }) == Status::bad_snapshot);
  }
}

TEST_CASE("a snapshot whose ordinals are nearly used up makes no cache") {
  Snapshot snapshot = KvCache({.n_pages = 1}).snapshot();
  snapshot.ordinal = std::uint64_t{1} << 62;
  CHECK(KvCache(snapshot).snapshot().save() == snapshot.save());
  snapshot.ordinal += 1;
  CHECK(snapshot.check().empty());
  CHECK(status_of([&] { KvCache cache(snapshot); }) == Status::bad_snapshot);
}

TEST_CASE("sequences that are each other's parents are refused") {
  KvCache cache({.n_pages = 4});
  const SequenceId trunk = cache.create_sequence();
  in_step(cache, [&](Step& step) { step.fork(step.fork(trunk, 1)[0], 1); });
  Snapshot bad = cache.snapshot();
  bad.sequences[0].children.clear();
  bad.sequences[2].children = {1};
  bad.sequences[1].parent = 2;
  CHECK(refusal(bad.save()) == "snapshot breaks an invariant: sequence 1 is its own ancestor");
}

TEST_CASE("histories in which a join would show a token twice are refused") {
  // trunk: 3 tokens, then two branches of 2 tokens, of which the second is detached.
  KvCache cache({.n_pages = 8, .page_size = 4});
  const SequenceId trunk = cache.create_sequence();
  in_step(cache, [&](Step& step) {
    step.append_unknown(trunk, 3);
    for (const SequenceId child : step.fork(trunk, 2)) {
      step.append_unknown(child, 2);
      step.fork(child, 1);  // so that what it wrote is a view
    }
  });
  const Snapshot good = cache.snapshot();
  REQUIRE(refusal(good.save()) == "");
  const std::int32_t first = good.sequences[1].head, second = good.sequences[2].head;
  const auto at = [](Snapshot & s, std::int32_t node) -> auto& { return s.nodes[static_cast<std::size_t>(node)]; };

  Snapshot bad = good;  // the second branch, and its child, see what the first wrote
  bad.sequences[2].head = bad.sequences[4].head = bad.sequences[4].fork_node = first;
  CHECK(refusal(bad.save()).find("sees beyond its fork") != std::string::npos);

  bad = good;  // the first branch's view follows the second's
  at(bad, second).parent = first;
  at(bad, second).n_tokens = 7;
  bad.sequences[4].fork_tokens = 7;
  CHECK(refusal(bad.save()).find("sees beyond its fork") != std::string::npos);

  bad = good;  // a view twice in one history
  at(bad, second).parent = first;
  at(bad, second).n_tokens = 7;
  at(bad, second).segment = at(bad, first).segment;
  bad.sequences[4].fork_tokens = 7;
  CHECK(refusal(bad.save()).find("shows segment") != std::string::npos);

  bad = good;  // the trunk sees what its branch wrote
  bad.sequences[0].head = first;
  CHECK(refusal(bad.save()).find("root 0 sees segment") != std::string::npos);

  bad = good;  // the branch was forked where its parent never was
  bad.sequences[3].fork_node = bad.sequences[3].head = second;
  CHECK(refusal(bad.save()).find("is not in the history of its parent") != std::string::npos);
}

TEST_CASE("snapshots of 30,000 sequences are checked in no time: side by side, and one below the other") {
  // With a cost that grows with the square this takes minutes.
  KvCache wide({.n_pages = 4, .max_sequences = 60000});
  const SequenceId trunk = wide.create_sequence();
  in_step(wide, [&](Step& step) {
    step.append_unknown(trunk, 3);
    step.fork(trunk, 30000);
  });
  CHECK(violations(wide) == "");
  CHECK(KvCache(Snapshot::load(wide.snapshot().save())).children(trunk).size() == 30000);

  Snapshot deep = KvCache({.n_pages = 4, .max_sequences = 60000, .max_depth = 60000}).snapshot();
  for (std::int32_t i = 0; i < 30000; ++i) {
    Snapshot::SequenceEntry& e = deep.sequences.emplace_back();
    e.index = i;
    e.alive = true;
    e.parent = i - 1;
    e.policy.resize(sizeof(Positions));
    if (i + 1 < 30000) e.children = {i + 1};
  }
  CHECK(refusal(deep.save()) == "");
  CHECK(violations(KvCache(deep)) == "");
}

TEST_CASE("a snapshot that breaks an invariant is refused, whatever was changed in it") {
  const std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const Busy busy;
  const Snapshot good = busy.cache.snapshot();
  int n_refused = 0;
  for (int i = 0; i < 4000; ++i) {
    Snapshot bad = good;
    const auto pick = [&](auto& list) -> auto& { return list[random() % list.size()]; };
    const std::int32_t values[] = {-1, -2, 0, 1, 3, 7, 40, 1000, kUnlimited, static_cast<std::int32_t>(random() % 50)};
    const std::int32_t v = values[random() % 10];
    switch (random() % 24) {
      case 0: pick(bad.pages).used = v; break;
      case 1: pick(bad.pages).fill = v; break;
      case 2: pick(bad.pages).writer = v; break;
      case 3: pick(bad.segments).length = v; break;
      case 4: pick(bad.segments).refs = v; break;
      case 5: pick(bad.segments).writer = v; break;
      case 6: pick(bad.segments).index = v; break;
      case 7:
        if (auto& s = pick(bad.segments); !s.runs.empty()) pick(s.runs).first = v;
        break;
      case 8:
        if (auto& s = pick(bad.segments); !s.runs.empty()) pick(s.runs).count = v;
        break;
      case 9:
        if (auto& s = pick(bad.segments); !s.runs.empty()) pick(s.runs).offset = v;
        break;
      case 10: pick(bad.nodes).parent = v; break;
      case 11: pick(bad.nodes).segment = v; break;
      case 12: pick(bad.nodes).end = v; break;
      case 13: pick(bad.nodes).n_tokens = v; break;
      case 14: pick(bad.nodes).refs = v; break;
      case 15: pick(bad.sequences).parent = v; break;
      case 16: pick(bad.sequences).head = v; break;
      case 17: pick(bad.sequences).open = v; break;
      case 18: pick(bad.sequences).fork_node = v; break;
      case 19: pick(bad.sequences).fork_tokens = v; break;
      case 20: pick(bad.sequences).alive = !good.sequences[0].alive; break;
      case 21: pick(bad.sequences).policy.resize(static_cast<std::size_t>(random() % 20)); break;
      case 22:
        if (auto& l = pick(bad.sequences); !l.children.empty())
          pick(l.children) = v;
        else
          l.children.push_back(v);
        break;
      default:
        if (auto& l = pick(bad.sequences); !l.tails.empty())
          pick(l.tails) = v;
        else
          l.tails.push_back(v);
        break;
    }
    try {
      KvCache cache(Snapshot::load(bad.save()));
      // What passes must be sound: it is used up to the end.
      std::vector<SequenceId> roots;
      for (const auto& sequence : bad.sequences)
        if (sequence.alive && sequence.parent == kNone)
          roots.push_back({static_cast<std::uint32_t>(sequence.index), sequence.generation});
      Step step = cache.begin_step();
      for (const SequenceId root : roots) step.drop(root);
      finish(step);
      CHECK(cache.n_free_pages() == cache.n_pages());
    } catch (const Error& error) {
      CHECK(error.status() == Status::bad_snapshot);
      ++n_refused;
    }
  }
  CHECK(n_refused > 1000);
}
