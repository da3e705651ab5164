// Reading a cache: its sequences and roots, children one by one, and the tokens that it keeps.
#include <memory_resource>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

using Tokens = std::vector<TokenId>;
using Sequences = std::vector<SequenceId>;
constexpr TokenId kUnknown = kUnknownToken;

/// The trunk 1 2 3, its children {10} and {20 ? 21}.
struct Kept {
  KvCache cache;
  SequenceId trunk;
  Sequences kids;
  explicit Kept(std::pmr::memory_resource* memory = nullptr)
      : cache({.n_pages = 32, .page_size = 4, .keep_tokens = true, .memory = memory}), trunk(cache.create_sequence()) {
    in_step(cache, [&](Step& step) {
      step.append(trunk, {1, 2, 3});
      kids = step.fork(trunk, 2);
      step.append(kids[0], {10});
      step.append(kids[1], {20});
      step.append_unknown(kids[1], 1);
      step.append(kids[1], {21});
    });
  }
};

}  // namespace

TEST_CASE("a cache lists its sequences and its roots") {
  KvCache cache({.n_pages = 8, .page_size = 4});
  CHECK(cache.sequences().empty());
  CHECK(cache.roots().empty());
  const SequenceId a = cache.create_sequence(), b = cache.create_sequence();
  Sequences kids;
  in_step(cache, [&](Step& step) {
    step.append(a, {1});
    kids = step.fork(a, 3);
  });
  CHECK(cache.sequences() == Sequences{a, b, kids[0], kids[1], kids[2]});
  CHECK(cache.roots() == Sequences{a, b});
  Step step = cache.begin_step();
  step.detach(kids[1]);
  step.drop(kids[0]);
  step.join(a, {kids[2]});
  CHECK(cache.sequences() == Sequences{a, b, kids[1]});  // the step's own state
  CHECK(cache.roots() == Sequences{a, b, kids[1]});
  step.abort();
  CHECK(cache.sequences().size() == 5);
  CHECK(cache.roots() == Sequences{a, b});
  Sequences seen;
  cache.for_each_child(a, [&](SequenceId child) { seen.push_back(child); });
  CHECK(seen == kids);
  CHECK(status_of([&] { cache.for_each_child(kNoSequence, [](SequenceId) {}); }) == Status::stale_sequence);
}

TEST_CASE("a cache that keeps tokens tells those of a sequence") {
  Kept kept;
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3});
  CHECK(kept.cache.tokens_of(kept.kids[0]) == Tokens{1, 2, 3, 10});
  CHECK(kept.cache.tokens_of(kept.kids[1]) == Tokens{1, 2, 3, 20, kUnknown, 21});
  in_step(kept.cache, [&](Step& step) {
    step.join(kept.trunk, {kept.kids[1], kept.kids[0]});
    step.append(kept.trunk, {4});
  });
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3, 20, kUnknown, 21, 10, 4});
  in_step(kept.cache, [&](Step& step) { step.rewind(kept.trunk, 4); });
  in_step(kept.cache, [&](Step& step) { step.append(kept.trunk, {5, 6}); });
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3, 20, 5, 6});
  CHECK(status_of([&] { (void)kept.cache.tokens_of(kept.kids[0]); }) == Status::stale_sequence);
}

TEST_CASE("kept tokens follow plan, reject and abort") {
  Kept kept;
  Step step = kept.cache.begin_step();
  step.append(kept.trunk, {4, 5, 6}, Logits::all);
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3});  // no slots yet
  REQUIRE(step.plan());
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3, 4, 5, 6});
  step.abort();
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3});
  CHECK(kept.cache.tokens_of(kept.kids[1]) == Tokens{1, 2, 3, 20, kUnknown, 21});
  Step drafts = kept.cache.begin_step();
  drafts.append(kept.trunk, {4, 50, 60}, Logits::all);
  REQUIRE(drafts.plan());
  drafts.reject(kept.trunk, 2);
  drafts.commit();
  in_step(kept.cache, [&](Step& next) { next.append(kept.trunk, {7}); });
  CHECK(kept.cache.tokens_of(kept.trunk) == Tokens{1, 2, 3, 4, 7});
}

TEST_CASE("a slot that is used again has the token of its new owner") {
  KvCache cache({.n_pages = 2, .page_size = 4, .keep_tokens = true});
  const SequenceId first = cache.create_sequence();
  in_step(cache, [&](Step& step) { step.append(first, {1, 2, 3, 4, 5}); });
  in_step(cache, [&](Step& step) { step.drop(first); });
  const SequenceId second = cache.create_sequence();
  in_step(cache, [&](Step& step) { step.append_unknown(second, 6); });
  CHECK(cache.tokens_of(second) == Tokens(6, kUnknown));
}

TEST_CASE("a cache that keeps no tokens says so") {
  KvCache cache;
  const SequenceId sequence = cache.create_sequence();
  CHECK_THROWS_WITH((void)cache.tokens_of(sequence), "the cache keeps no tokens: its option keep_tokens is off");
  CHECK(status_of([&] { (void)cache.tokens_of(sequence); }) == Status::wrong_state);
}

TEST_CASE("a snapshot carries the tokens that its cache keeps") {
  Kept kept;
  KvCache copy(Snapshot::load(kept.cache.snapshot().save()));
  CHECK(copy.options().keep_tokens);
  CHECK(copy.tokens_of(kept.kids[1]) == Tokens{1, 2, 3, 20, kUnknown, 21});
  in_step(copy, [&](Step& step) { step.append(kept.kids[1], {22}); });
  CHECK(copy.tokens_of(kept.kids[1]) == Tokens{1, 2, 3, 20, kUnknown, 21, 22});

  Snapshot broken = kept.cache.snapshot();
  broken.tokens.front() = -2;
  CHECK_FALSE(broken.check().empty());
  broken = kept.cache.snapshot();
  broken.keep_tokens = false;
  CHECK_FALSE(broken.check().empty());
  broken = kept.cache.snapshot();
  broken.tokens.resize(32 * 4 + 1);
  CHECK_FALSE(broken.check().empty());
}
