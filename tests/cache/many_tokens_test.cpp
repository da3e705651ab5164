// Counts of tokens stay within 31 bits, whatever is appended to what.
#include <vector>

#include <anabranch/anabranch.hpp>

#include "catch.hpp"

using namespace anabranch;

TEST_CASE("an append past 2^31 - 1 tokens of a sequence is refused") {
  KvCache cache({.n_pages = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  step.append_unknown(root, kUnlimited);
  const std::vector<Position> start{0};
  const SequenceId child = step.fork(root, 1, {Positions::given, start})[0];
  CHECK_THROWS_WITH(
      step.append_unknown(child, kUnlimited),
      "appending 2147483647 tokens to the 2147483647 that sequence 1 sees passes the limit of 2147483647");
  CHECK_THROWS_WITH(step.append_unknown(child, 1),
                    "appending 1 tokens to the 2147483647 that sequence 1 sees passes the limit of 2147483647");
  CHECK(cache.n_tokens(child) == kUnlimited);
  CHECK(!step.plan());
}

TEST_CASE("a join past 2^31 - 1 tokens of the parent is refused") {
  KvCache cache({.n_pages = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  const std::vector<SequenceId> children = step.fork(root, 2, {Positions::longest});
  step.append_unknown(children[0], kUnlimited);
  step.append_unknown(children[1], 1);
  CHECK_THROWS_WITH(step.join(root, children), "join leads to 2147483648 tokens, past the limit of 2147483647");
  CHECK(cache.children(root) == children);
  step.join(root, {children[0]});
  CHECK(cache.n_tokens(root) == kUnlimited);
}
