// A saved cache goes on where it stood; bytes that are not one are refused, and never crash.
#include <cstring>
#include <random>
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
