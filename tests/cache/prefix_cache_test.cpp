// The prefix cache, case by case: what is found, what never is, and what is refused.
#include <memory_resource>
#include <new>

#include <anabranch/cache/prefix_cache.hpp>

#include "prefix_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// Counts what is taken, and refuses after `n_left` allocations.
class RefusingMemory : public std::pmr::memory_resource {
 public:
  int n_left = -1;  ///< below 0: never
  std::size_t n_bytes = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (n_left == 0) throw std::bad_alloc();
    if (n_left > 0) --n_left;
    n_bytes += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override {
    n_bytes -= bytes;
    std::pmr::new_delete_resource()->deallocate(pointer, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

TEST_CASE("A call that runs out of memory has changed nothing, and all memory comes from the cache's resource") {
  for (int n_good = 0, n_refused = 1; n_refused > 0; ++n_good) {
    INFO("the first " << n_good << " allocations of each call succeed");
    RefusingMemory memory;
    n_refused = 0;
    {
      KvCache cache({.keep_tokens = true, .memory = &memory});
      PrefixCache prefixes(cache);
      const auto tried = [&](auto&& call) {
        const std::int32_t n_nodes = prefixes.n_nodes(), n_sequences = cache.n_sequences();
        const std::int32_t n_free = cache.n_free_pages(), n_histories = prefixes.n_histories();
        memory.n_left = n_good;
        try {
          call();
        } catch (const std::bad_alloc&) {
          memory.n_left = -1;
          ++n_refused;
          CHECK(prefixes.n_nodes() <= n_nodes + 1);  // a run may have been split in two
          CHECK(cache.n_sequences() == n_sequences);
          CHECK(cache.n_free_pages() == n_free);
          CHECK(prefixes.n_histories() == n_histories);
          CHECK(violations(cache) == "");
          call();
        }
        memory.n_left = -1;
      };
      const StructuredPrompt first = linear(tokens(40));
      const StructuredPrompt second = then(with_block(first.first(20), {{1, 2}, {3}, {4}}), {5, 6});
      SequenceId sequence = computed(cache, first);
      tried([&] { prefixes.keep(sequence, first); });
      PrefixHit hit;
      tried([&] { hit = prefixes.take(second); });
      check_hit(cache, hit, second, 20);
      RunningPrefixIndex running;
      tried([&] { running = prefixes.announce(second); });
      feed(cache, hit.sequence, second, 20);
      tried([&] { prefixes.keep(hit.sequence, second); });
      prefixes.withdraw(running);
      prefixes.unpin(hit.pin);
      CHECK(found(prefixes, first) == 40);
      CHECK(found(prefixes, second) == 26);
      tried([&] { prefixes.make_room(cache.n_pages()); });
      CHECK(prefixes.n_nodes() == 1);
      CHECK(memory.n_bytes > 0);
    }
    CHECK(memory.n_bytes == 0);
    REQUIRE(n_good < 100);
  }
}

TEST_CASE("The second turn of a chat computes only its new tokens") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt first = linear(tokens(100));
  prefixes.keep(computed(cache, first), first);
  const StructuredPrompt second = then(first, tokens(20, 500));
  const PrefixHit hit = prefixes.take(second, second.n_tokens() - 1);
  check_hit(cache, hit, second, 100);
  const std::int32_t n_free = cache.n_free_pages();
  CHECK(feed(cache, hit.sequence, second, hit.n_tokens) == 20);
  CHECK(n_free - cache.n_free_pages() <= 2);
  prefixes.unpin(hit.pin);
  prefixes.keep(hit.sequence, second);
  CHECK(prefixes.n_histories() == 1);  // the first turn begins the second
  CHECK(found(prefixes, then(second, {1})) == 120);
  CHECK(prefixes.statistics() == PrefixStatistics{1, 1, 120, 100, 2, 0, 0, 0});
}

TEST_CASE("A joined history and its linear text never find each other") {
  for (const bool joined_is_kept : {true, false}) {
    KvCache cache({.keep_tokens = true});
    PrefixCache prefixes(cache);
    const StructuredPrompt joined = then(with_block(linear({1, 2}), {{3, 4}, {5, 6}}), {7, 8});
    const StructuredPrompt text = linear({1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(Tokens(joined.tokens().begin(), joined.tokens().end()) == Tokens(text.tokens().begin(), text.tokens().end()));
    CHECK(joined.next_position() == text.next_position());
    const StructuredPrompt& kept = joined_is_kept ? joined : text;
    prefixes.keep(computed(cache, kept), kept);
    CHECK(found(prefixes, kept) == 8);
    // The linear text finds the prompt and the first branch, which saw just that; the block finds what is before it.
    CHECK(found(prefixes, joined_is_kept ? text : joined) == (joined_is_kept ? 4 : 2));
    // Branches in another order, with another border, or one after another in two blocks are others.
    CHECK(found(prefixes, then(with_block(linear({1, 2}), {{5, 6}, {3, 4}}), {7, 8})) == 2);
    CHECK(found(prefixes, then(with_block(linear({1, 2}), {{3, 4, 5}, {6}}), {7, 8})) == 2);
    const StructuredPrompt two = with_block(with_block(linear({1, 2}), {{3, 4}}), {{5, 6}});
    CHECK(found(prefixes, two) == (joined_is_kept ? 4 : 6));
  }
}

TEST_CASE("A block in which one branch alone has tokens is its linear text") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt text = linear({1, 2, 3, 4, 5});
  prefixes.keep(computed(cache, text), text);
  CHECK(found(prefixes, then(with_block(linear({1, 2}), {{3, 4}}), {5})) == 5);
  CHECK(found(prefixes, then(with_block(linear({1, 2}), {{}, {3, 4}, {}}), {5})) == 5);
  CHECK(found(prefixes, then(with_block(linear({1, 2}), {}), {3, 4, 5})) == 5);
}

TEST_CASE("The same tokens at other positions are not found") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  StructuredPrompt later(7);
  later.append({1, 2, 3});
  const SequenceId sequence = cache.create_sequence(7);
  feed(cache, sequence, later);
  prefixes.keep(sequence, later);
  CHECK(found(prefixes, later) == 3);
  CHECK(found(prefixes, linear({1, 2, 3})) == 0);
  const StructuredPrompt longest = then(with_block(linear({1}), {{2, 3}, {4}}, Positions::longest), {5});
  prefixes.keep(computed(cache, longest), longest);
  CHECK(found(prefixes, longest) == 5);
  CHECK(found(prefixes, then(with_block(linear({1}), {{2, 3}, {4}}), {5})) == 4);  // the same block, but 5 stands later
  CHECK(found(prefixes, then(with_block(linear({1}), {{2, 3}, {4}}, Positions::reserved(4)), {5})) == 1);
}

TEST_CASE("A hit inside what was a branch goes on where its own prompt says") {
  for (const Positions positions : {Positions::sequential, Positions::longest, Positions::reserved(5)}) {
    KvCache cache({.keep_tokens = true});
    PrefixCache prefixes(cache);
    const StructuredPrompt joined = then(with_block(linear({1, 2}), {{3, 4, 5}, {6}}, positions), {7});
    prefixes.keep(computed(cache, joined), joined);
    const StructuredPrompt text = linear({1, 2, 3, 4, 9, 9});
    const PrefixHit hit = prefixes.take(text);
    check_hit(cache, hit, text, 4);
    CHECK(cache.next_position(hit.sequence) == 4);
    CHECK(feed(cache, hit.sequence, text, 4) == 2);
    CHECK(cache.positions_of(hit.sequence) == std::vector<Position>{0, 1, 2, 3, 4, 5});
    prefixes.unpin(hit.pin);
    prefixes.keep(hit.sequence, text);
    CHECK(found(prefixes, text) == 6);
    CHECK(found(prefixes, joined) == 7);
    // Behind the block a prompt with another rule goes on elsewhere.
    if (positions != Positions::sequential) continue;
    const StructuredPrompt longest = then(with_block(linear({1, 2}), {{3, 4, 5}, {6}}, Positions::longest), {8});
    const PrefixHit block = prefixes.take(longest);
    check_hit(cache, block, longest, 6);
    CHECK(cache.next_position(block.sequence) == 5);
  }
}

TEST_CASE("A branch is found by its own linear text while others of its block are kept beside it") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const SequenceId trunk = computed(cache, linear({1, 2}));
  std::vector<SequenceId> branches, copies;
  in_step(cache, [&](Step& step) {
    branches = step.fork(trunk, 2);
    step.append(branches[0], {3, 4});
    step.append(branches[1], {5, 6});
    for (const SequenceId branch : branches) {
      copies.push_back(step.fork(branch, 1).front());
      step.detach(copies.back());
    }
    step.join(trunk, branches);
  });
  prefixes.keep(copies[0], linear({1, 2, 3, 4}));
  prefixes.keep(copies[1], linear({1, 2, 5, 6}));
  prefixes.keep(trunk, with_block(linear({1, 2}), {{3, 4}, {5, 6}}));
  CHECK(prefixes.n_histories() == 2);  // the first branch begins the joined history
  CHECK(found(prefixes, linear({1, 2, 5, 6, 7})) == 4);
  CHECK(found(prefixes, linear({1, 2, 3, 4, 7})) == 4);
  CHECK(found(prefixes, then(with_block(linear({1, 2}), {{3, 4}, {5, 6}}), {7})) == 6);
  const StructuredPrompt second = linear({1, 2, 5, 6, 7});
  const PrefixHit hit = prefixes.take(second);
  check_hit(cache, hit, second, 4);
}

TEST_CASE("Nested blocks are found as a whole and up to where they differ") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const auto nested = [](TokenId inner) {
    StructuredPrompt prompt = linear({1});
    prompt.begin_block(Positions::sequential, 2);
    prompt.begin_branch(), prompt.append({2});
    prompt.begin_block(Positions::sequential, 2);
    prompt.begin_branch(), prompt.append({3}), prompt.end_branch();
    prompt.begin_branch(), prompt.append({inner}), prompt.end_branch();
    prompt.end_block(), prompt.append({5}), prompt.end_branch();
    prompt.begin_branch(), prompt.append({6}), prompt.end_branch();
    prompt.end_block(), prompt.append({7});
    return prompt;
  };
  prefixes.keep(computed(cache, nested(4)), nested(4));
  CHECK(found(prefixes, nested(4)) == 7);
  CHECK(found(prefixes, nested(9)) == 1);
  const PrefixHit hit = prefixes.take(nested(4), 6);
  check_hit(cache, hit, nested(4), 6);
}

TEST_CASE("A prompt that is being computed is announced, then shared, then kept") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const StructuredPrompt text = linear(tokens(50));
  const StructuredPrompt other = then(text.first(30), {7, 7});
  const RunningPrefixIndex running = prefixes.announce(text);
  CHECK(prefixes.find(other).n_tokens == 0);
  CHECK(prefixes.find(other).n_pending == 30);
  const SequenceId sequence = computed(cache, text);
  const std::uint64_t version = prefixes.version();
  prefixes.share(running, sequence);
  CHECK(prefixes.version() != version);
  in_step(cache, [&](Step& step) { step.append(sequence, {8, 8}); });  // its request goes on
  const PrefixHit hit = prefixes.take(other);
  check_hit(cache, hit, other, 30);
  prefixes.keep(sequence, then(text, {8, 8}));
  prefixes.withdraw(running);
  give_back(cache, prefixes, hit);
  CHECK(found(prefixes, other) == 30);
  CHECK(found(prefixes, then(text, {8, 8})) == 52);
  const RunningPrefixIndex given_up = prefixes.announce(linear({5, 5}));
  prefixes.withdraw(given_up);
  CHECK(prefixes.find(linear({5, 5})).n_pending == 0);
  prefixes.clear();
  CHECK(prefixes.n_nodes() == 1);
  CHECK(violations(cache) == "");
}

TEST_CASE("What is no root, or not what its history says, is refused, and nothing has changed") {
  KvCache cache({.keep_tokens = true});
  PrefixCache prefixes(cache);
  const SequenceId sequence = computed(cache, linear({1, 2, 3}));
  SequenceId branch;
  in_step(cache, [&](Step& step) { branch = step.fork(sequence, 1).front(); });
  const auto status = [&](SequenceId s, const StructuredPrompt& history) {
    return status_of([&] { prefixes.keep(s, history); });
  };
  StructuredPrompt later(1);
  later.append({1, 2, 3});
  StructuredPrompt open = linear({1, 2, 3});
  open.begin_block(Positions::sequential, 1);
  CHECK(status(branch, linear({1, 2, 3})) == Status::bad_argument);
  CHECK(status(sequence, linear({1, 2, 4})) == Status::bad_argument);
  CHECK(status(sequence, linear({1, 2, 3, 4})) == Status::bad_argument);
  CHECK(status(sequence, later) == Status::bad_argument);
  CHECK(status(sequence, open) == Status::bad_argument);
  CHECK(status({.index = 77}, linear({1})) == Status::stale_sequence);
  CHECK(status_of([&] { prefixes.announce(open); }) == Status::bad_argument);
  {
    const Step step = cache.begin_step();
    CHECK(status(sequence, linear({1, 2, 3})) == Status::wrong_state);
  }
  CHECK(prefixes.n_nodes() == 1);
  CHECK(cache.n_sequences() == 2);
  prefixes.keep(sequence, linear({1, 2}));  // what it sees beyond that, and its branch, are dropped
  CHECK(cache.n_sequences() == 1);
  CHECK(cache.n_tokens(sequence) == 2);
  CHECK(status_of([&] {
          const Step step = cache.begin_step();
          prefixes.take(linear({1, 2}));
        }) == Status::wrong_state);
  CHECK(found(prefixes, linear({1, 2})) == 2);
}

TEST_CASE("A structured prompt refuses calls out of order and positions that are not there") {
  StructuredPrompt prompt = linear({1, 2});
  const StructuredPrompt before = prompt;
  const auto status = [&](auto&& call) { return status_of([&] { call(prompt); }); };
  CHECK(status([](auto& p) { p.append({-1}); }) == Status::bad_argument);
  CHECK(status([](auto& p) { p.begin_branch(); }) == Status::wrong_state);
  CHECK(status([](auto& p) { p.end_branch(); }) == Status::wrong_state);
  CHECK(status([](auto& p) { p.end_block(); }) == Status::wrong_state);
  CHECK(status([](auto& p) { p.begin_block(Positions::given, 1); }) == Status::bad_argument);
  CHECK(status([](auto& p) { p.begin_block(Positions::reserved(0), 1); }) == Status::bad_argument);
  CHECK(status([](auto& p) { p.begin_block(Positions::sequential, -1); }) == Status::bad_argument);
  CHECK(status([](auto& p) { p.begin_block(Positions::reserved(kUnlimited), 2); }) == Status::out_of_range);
  CHECK(status_of([] { StructuredPrompt(-1); }) == Status::bad_argument);
  StructuredPrompt last(kUnlimited - 1);
  last.append({1});
  CHECK(status_of([&] { last.append({1}); }) == Status::out_of_range);
  CHECK(prompt == before);
  prompt.begin_block(Positions::reserved(2), 2);
  CHECK(status([](auto& p) { p.append({1}); }) == Status::wrong_state);
  CHECK(status([](auto& p) { p.end_block(); }) == Status::wrong_state);
  prompt.begin_branch();
  CHECK(status([](auto& p) { p.begin_branch(); }) == Status::wrong_state);
  CHECK(status([](auto& p) { p.append({1, 2, 3}); }) == Status::out_of_range);  // its range has two positions
  prompt.append({3, 4}), prompt.end_branch(), prompt.begin_branch(), prompt.end_branch(), prompt.end_block();
  prompt.append({5});
  CHECK(prompt.next_position() == 7);
  CHECK(prompt.n_structured() == 4);
  CHECK(prompt.first(5) == prompt);
  CHECK(prompt.first(4).n_tokens() == 4);
  CHECK(prompt.first(3) == before);
  CHECK(prompt.first(1) == linear({1}));
  CHECK(prompt.first(0) == linear({}));
}
