// Where branches start, where their parent goes on, and where a rewound sequence goes on.
#include <algorithm>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

/// A sequence with 9 tokens and branches of the given lengths, all committed.
struct Block {
  KvCache cache;
  SequenceId trunk;
  std::vector<SequenceId> kids;
  Block(const Positions& policy, const std::vector<std::int32_t>& lengths, std::vector<Position> starts = {}) {
    trunk = cache.create_sequence();
    in_step(cache, [&](Step& step) {
      step.append(trunk, tokens(9));
      kids = step.fork(trunk, static_cast<std::int32_t>(lengths.size()), {.positions = policy, .starts = starts});
      for (std::size_t k = 0; k < kids.size(); ++k) step.append_unknown(kids[k], lengths[k]);
    });
  }
  void join(const std::vector<SequenceId>& sequences, JoinOptions options = {}) {
    in_step(cache, [&](Step& step) { step.join(trunk, sequences, options); });
  }
  void rewind(SequenceId sequence, std::int32_t n) {
    in_step(cache, [&](Step& step) { step.rewind(sequence, n); });
  }
  Position next() const { return cache.next_position(trunk); }
};

/// A policy of a program's own: branches start at the next multiple of 8, and so does the parent behind them.
struct Blocks {
  Position block = 8;
  bool valid() const { return block > 0; }
  bool is_given() const { return false; }
  WidePosition start(Position next, std::int32_t) const { return (WidePosition{next} + block - 1) / block * block; }
  WidePosition end(Position next, std::int32_t k) const { return start(next, k) + 2 * block; }
  WidePosition after_fork(Position next, std::int32_t k) const { return start(next, k); }
  NextRule after_join(Position next, Position) const { return {next, 0}; }
};

}  // namespace

TEST_CASE("a program's own policy says where branches start and end, and where their parent goes on") {
  BasicKvCache<NoPayload, Blocks> cache({.n_pages = 32, .page_size = 4});
  const SequenceId trunk = cache.create_sequence();
  std::vector<SequenceId> kids;
  in_step(cache, [&](auto& step) {
    step.append_unknown(trunk, 9);
    kids = step.fork(trunk, 2);
    step.append_unknown(kids[1], 3);
  });
  CHECK(cache.start_position(kids[0]) == 16);
  CHECK(cache.position_limit(kids[0]) == 32);
  CHECK(cache.next_position(trunk) == 16);
  in_step(cache, [&](auto& step) { step.join(trunk, kids); });
  CHECK(cache.next_position(trunk) == 19);
  CHECK(cache.n_tokens(trunk) == 12);
  CHECK(violations(cache) == "");
  const BasicKvCache<NoPayload, Blocks> again(Snapshot::load(cache.snapshot().save()));
  CHECK(again.next_position(trunk) == 19);
  in_step(cache, [&](auto& step) { step.fork(trunk, 1, {.positions = {4}}); });
  CHECK(cache.next_position(trunk) == 20);
  auto step = cache.begin_step();
  CHECK(status_of([&] { step.fork(trunk, 1, {.positions = {0}}); }) == Status::bad_argument);
}

TEST_CASE("9 + [6, 4, 5] joined in any order goes on at 24, 15 or 27") {
  const std::vector<std::pair<Positions, Position>> policies{
      {Positions::sequential, 24}, {Positions::longest, 15}, {Positions::reserved(6), 27}};
  for (const auto& [policy, expected] : policies) {
    std::vector<std::size_t> order{0, 1, 2};
    do {
      Block block(policy, {6, 4, 5});
      block.join({block.kids[order[0]], block.kids[order[1]], block.kids[order[2]]});
      CHECK(block.next() == expected);
      Block late(policy, {6, 4, 5});
      for (const std::size_t k : order) late.join({late.kids[k]});
      CHECK(late.next() == expected);
      CHECK(late.cache.n_tokens(late.trunk) == 24);
      CHECK(violations(late.cache) == "");
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("branches start at the parent's next position, or at their reserved one") {
  CHECK(Block(Positions::sequential, {6, 4}).cache.start_position(Block(Positions::sequential, {6, 4}).kids[1]) == 9);
  const Block longest(Positions::longest, {6, 4});
  CHECK(longest.cache.start_position(longest.kids[1]) == 9);
  const Block reserved(Positions::reserved(6), {6, 4});
  CHECK(reserved.cache.start_position(reserved.kids[0]) == 9);
  CHECK(reserved.cache.start_position(reserved.kids[1]) == 15);
  CHECK(reserved.cache.next_position(reserved.trunk) == 21);
  const Block given(Positions::given, {6, 4}, {30, 100});
  CHECK(given.cache.positions_of(given.kids[1]) ==
        std::vector<Position>{0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 101, 102, 103});
  CHECK(given.cache.next_position(given.trunk) == 9);
}

TEST_CASE("a join of a subset counts only the joined branches") {
  Block sequential(Positions::sequential, {6, 4, 5});
  sequential.join({sequential.kids[1]});
  CHECK(sequential.next() == 13);
  in_step(sequential.cache, [&](Step& step) {
    step.drop(sequential.kids[0]);
    step.drop(sequential.kids[2]);
  });
  CHECK(sequential.next() == 13);
  Block longest(Positions::longest, {6, 4, 5});
  longest.join({longest.kids[1]});
  CHECK(longest.next() == 13);
  longest.join({longest.kids[2]});
  CHECK(longest.next() == 14);
  Block reserved(Positions::reserved(6), {6, 4, 5});
  reserved.join({reserved.kids[1]});
  CHECK(reserved.next() == 27);
}

TEST_CASE("the parent may append while branches are open, and a late join goes on from there") {
  Block block(Positions::longest, {6, 4});
  append(block.cache, block.trunk, 3);
  CHECK(block.next() == 12);
  block.join(block.kids);
  CHECK(block.next() == 15);
  Block sequential(Positions::sequential, {6, 4});
  append(sequential.cache, sequential.trunk, 3);
  sequential.join(sequential.kids);
  CHECK(sequential.next() == 22);
  CHECK(sequential.cache.n_tokens(sequential.trunk) == 22);
  Block longer(Positions::longest, {6, 4});
  append(longer.cache, longer.trunk, 20);
  longer.join(longer.kids);
  CHECK(longer.next() == 29);
}

TEST_CASE("a branch joined truncated counts what was kept") {
  Block block(Positions::sequential, {6, 4});
  in_step(block.cache, [&](Step& step) {
    step.rewind(block.kids[0], 11);
    step.join(block.trunk, block.kids);
  });
  CHECK(block.next() == 15);
  CHECK(block.cache.positions_of(block.trunk) ==
        std::vector<Position>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11, 12});
}

TEST_CASE("the extent of a nested branch is its positions, not its tokens") {
  Block block(Positions::sequential, {2});
  in_step(block.cache, [&](Step& step) {
    const auto inner = step.fork(block.kids[0], 3, {.positions = Positions::longest});
    step.append_unknown(inner[0], 5);
    step.append_unknown(inner[1], 7);
    step.append_unknown(inner[2], 1);
    step.join(block.kids[0], inner);
    CHECK(block.cache.next_position(block.kids[0]) == 9 + 2 + 7);
    step.append_unknown(block.kids[0], 1);
    step.join(block.trunk, block.kids);
  });
  CHECK(block.next() == 9 + 10);
  CHECK(block.cache.n_tokens(block.trunk) == 9 + 2 + 13 + 1);
}

TEST_CASE("a given join goes on where the caller says") {
  Block block(Positions::given, {3, 3}, {20, 40});
  block.join(block.kids, {.next = 50});
  CHECK(block.next() == 50);
  append(block.cache, block.trunk, 1);
  block.rewind(block.trunk, 15);
  CHECK(block.next() == 50);
  block.rewind(block.trunk, 14);
  CHECK(block.next() == 9);
}

TEST_CASE("9 + [6, 4] + 1 rewound to 17 tokens goes on at 17 under sequential") {
  Block block(Positions::sequential, {6, 4});
  block.join(block.kids);
  append(block.cache, block.trunk, 1);
  block.rewind(block.trunk, 17);
  CHECK(block.next() == 17);
  CHECK(block.cache.n_tokens(block.trunk) == 17);
  append(block.cache, block.trunk, 1);
  CHECK(block.cache.positions_of(block.trunk).back() == 17);
}

TEST_CASE("a rewind goes back to the next position of that moment") {
  // Index: tokens kept. 9 serial, branches of 6 and 4, one serial token.
  const std::vector<Position> sequential{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  const std::vector<Position> longest{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 15, 15, 15, 16};
  const std::vector<Position> reserved{0, 1, 2, 3, 4, 5, 6, 7, 8, 21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 22};
  const std::vector<std::pair<Positions, std::vector<Position>>> policies{
      {Positions::sequential, sequential}, {Positions::longest, longest}, {Positions::reserved(6), reserved}};
  for (const auto& [policy, expected] : policies) {
    for (std::int32_t keep = 0; keep <= 20; ++keep) {
      Block block(policy, {6, 4});
      block.join(block.kids);
      append(block.cache, block.trunk, 1);
      block.rewind(block.trunk, keep);
      INFO("policy " << static_cast<int>(policy.kind) << ", " << keep << " tokens kept");
      CHECK(block.next() == expected[static_cast<std::size_t>(keep)]);
      CHECK(block.cache.n_tokens(block.trunk) == keep);
      CHECK(violations(block.cache) == "");
    }
  }
}

TEST_CASE("a rewind stops at the sequence's own fork and at the fork of an open child") {
  Block block(Positions::sequential, {6, 4});
  auto step = block.cache.begin_step();
  CHECK(status_of([&] { step.rewind(block.kids[0], 8); }) == Status::bad_argument);
  CHECK(status_of([&] { step.rewind(block.kids[0], 9); }) == Status::ok);
  CHECK(block.cache.next_position(block.kids[0]) == 9);
  step.append_unknown(block.trunk, 2);
  CHECK(status_of([&] { step.rewind(block.trunk, 8); }) == Status::bad_argument);
  CHECK(status_of([&] { step.rewind(block.trunk, 9); }) == Status::ok);
  step.drop(block.kids[0]);
  step.detach(block.kids[1]);
  CHECK(status_of([&] { step.rewind(block.trunk, 0); }) == Status::ok);
  CHECK(block.cache.next_position(block.trunk) == 0);
  CHECK(status_of([&] { step.rewind(block.kids[1], 3); }) == Status::ok);
  CHECK(block.cache.next_position(block.kids[1]) == 3);
}

TEST_CASE("positions beyond a reserved range or the model's maximum are refused") {
  Block block(Positions::reserved(6), {6, 4});
  auto step = block.cache.begin_step();
  CHECK(block.cache.position_limit(block.kids[0]) == 15);
  CHECK(status_of([&] { step.append(block.kids[0], {1}); }) == Status::out_of_range);
  CHECK(status_of([&] { step.append_unknown(block.kids[1], 3); }) == Status::out_of_range);
  CHECK(status_of([&] { step.append_unknown(block.kids[1], 2); }) == Status::ok);
  step.abort();

  KvCache small({.n_pages = 8, .max_position = 10});
  CHECK(status_of([&] { small.create_sequence(10); }) == Status::out_of_range);
  const SequenceId sequence = small.create_sequence(4);
  Step again = small.begin_step();
  CHECK(status_of([&] { again.append_unknown(sequence, 7); }) == Status::out_of_range);
  again.append_unknown(sequence, 6);
  CHECK(status_of([&] { again.append(sequence, {1}); }) == Status::out_of_range);
  const auto kids = again.fork(sequence, 1);
  CHECK(status_of([&] { again.append(kids[0], {1}); }) == Status::out_of_range);
  finish(again);
  CHECK(small.next_position(sequence) == 10);
}

TEST_CASE("no join leads to a negative position") {
  Block block(Positions::sequential, {1});
  auto step = block.cache.begin_step();
  const auto inner = step.fork(block.kids[0], 1, {.positions = Positions::given, .starts = std::vector<Position>{50}});
  const Status lowered = status_of([&] { step.join(block.kids[0], inner, {.next = 0}); });
  if (lowered == Status::ok) {
    const Status joined = status_of([&] { step.join(block.trunk, block.kids); });
    CHECK((joined == Status::out_of_range || block.next() >= 0));
  }
}

TEST_CASE("adopting a branch takes its position, its history and its children") {
  Block block(Positions::reserved(6), {6, 4});
  std::vector<SequenceId> inner;
  in_step(block.cache, [&](Step& step) {
    step.append_unknown(block.trunk, 2);
    inner = step.fork(block.kids[1], 2);
    step.append_unknown(inner[0], 1);
    step.adopt(block.trunk, block.kids[1]);
  });
  CHECK(block.next() == 19);
  CHECK(block.cache.n_tokens(block.trunk) == 13);
  CHECK_FALSE(block.cache.alive(block.kids[0]));
  CHECK_FALSE(block.cache.alive(block.kids[1]));
  CHECK(block.cache.children(block.trunk) == inner);
  CHECK(block.cache.parent(inner[0]) == block.trunk);
  block.join({inner[0]});
  CHECK(block.next() == 20);
  CHECK(violations(block.cache) == "");
}

TEST_CASE("given positions that go backwards never lead below position 0, or past the last") {
  // A branch starts at 100; a join with given positions takes it back to 0, and another one its trunk.
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId trunk = cache.create_sequence(100);
  std::vector<SequenceId> kids;
  const auto give = [&](SequenceId parent, Position next) {
    in_step(cache, [&](Step& step) {
      const std::vector<Position> starts{7};
      const std::vector<SequenceId> given = step.fork(parent, 1, {.positions = Positions::given, .starts = starts});
      step.append_unknown(given[0], 1);
      step.join(parent, given, {.next = next});
    });
  };
  in_step(cache, [&](Step& step) { kids = step.fork(trunk, 2, {.positions = Positions::sequential}); });
  for (const SequenceId kid : kids) give(kid, 0);
  append(cache, kids[1], 5);  // at positions 0 to 4
  give(kids[1], 200);
  give(trunk, 0);
  {
    Step step = cache.begin_step();
    CHECK(status_of([&] { step.join(trunk, {kids[0]}); }) == Status::out_of_range);  // 0 + 0 - 100
    step.join(trunk, {kids[1]});                                                     // 0 + 200 - 100
    finish(step);
  }
  CHECK(cache.next_position(trunk) == 100);
  CHECK(violations(cache) == "");
  in_step(cache, [&](Step& step) {
    step.drop(kids[0]);
    step.rewind(trunk, 4);  // into the 5 tokens, which were before position 0 of the trunk
  });
  CHECK(cache.next_position(trunk) == 0);
  CHECK(violations(cache) == "");
  append(cache, trunk, 2);
  CHECK(cache.positions_of(trunk).back() == 1);
}
