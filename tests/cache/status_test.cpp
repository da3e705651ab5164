// Every status that the cache can give, by the shortest way to it.
#include <memory_resource>
#include <string>
#include <vector>

#include "cache_steps.hpp"

using namespace anabranch;
using namespace anabranch::test;

namespace {

template <class Call>
std::string text_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("bad_argument: a cache of impossible size") {
  CHECK(status_of([] { KvCache cache({.n_pages = -1}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.n_pages = 0}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.page_size = 0}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.page_size = -16}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.n_pages = 1 << 28, .page_size = 16}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.max_sequences = -1}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.max_depth = -1}); }) == Status::bad_argument);
  CHECK(status_of([] { KvCache cache({.max_position = -1}); }) == Status::bad_argument);
  CHECK(status_of([] { BasicKvCache<NoPayload, Positions, FixedPageSize<16>> cache({.page_size = 8}); }) ==
        Status::bad_argument);
}

TEST_CASE("stale_sequence: an id that was dropped, joined, adopted, aborted, or never given") {
  KvCache cache({.n_pages = 8});
  const SequenceId sequence = cache.create_sequence();
  std::vector<SequenceId> kids;
  in_step(cache, [&](Step& step) { kids = step.fork(sequence, 4); });
  in_step(cache, [&](Step& step) {
    step.drop(kids[0]);
    step.join(sequence, {kids[1]});
    step.adopt(sequence, kids[2]);
  });
  SequenceId undone;
  {
    Step step = cache.begin_step();
    undone = step.create_sequence();
  }
  for (const SequenceId gone : {kids[0], kids[1], kids[2], kids[3], undone, kNoSequence, SequenceId{5000, 0},
                                SequenceId{sequence.index, sequence.generation + 1}}) {
    CHECK_FALSE(cache.alive(gone));
    CHECK(status_of([&] { (void)cache.n_tokens(gone); }) == Status::stale_sequence);
    CHECK(status_of([&] { (void)cache.next_position(gone); }) == Status::stale_sequence);
    CHECK(status_of([&] { (void)cache.parent(gone); }) == Status::stale_sequence);
    CHECK(status_of([&] { (void)cache.children(gone); }) == Status::stale_sequence);
    CHECK(status_of([&] { (void)cache.slots_of(gone); }) == Status::stale_sequence);
    CHECK(status_of([&] { cache.payload(gone); }) == Status::stale_sequence);
    Step step = cache.begin_step();
    CHECK(status_of([&] { step.append(gone, {1}); }) == Status::stale_sequence);
    CHECK(status_of([&] { step.append(gone, std::span<const TokenId>{}); }) == Status::stale_sequence);
  }
  const std::string text = text_of([&] { (void)cache.n_tokens(kids[0]); });
  CHECK(holds(text, std::to_string(kids[0].index)));
}

TEST_CASE("not_a_child: join or adopt of a sequence that is not an open child of the parent") {
  KvCache cache({.n_pages = 8});
  const SequenceId sequence = cache.create_sequence();
  const SequenceId other = cache.create_sequence();
  Step step = cache.begin_step();
  const auto kids = step.fork(sequence, 2);
  const auto inner = step.fork(kids[0], 1);
  CHECK(status_of([&] { step.join(other, kids); }) == Status::not_a_child);
  CHECK(status_of([&] { step.join(sequence, inner); }) == Status::not_a_child);
  CHECK(status_of([&] { step.adopt(sequence, other); }) == Status::not_a_child);
  CHECK(status_of([&] { step.detach(sequence); }) == Status::not_a_child);
  step.detach(kids[1]);
  CHECK(status_of([&] { step.join(sequence, {kids[1]}); }) == Status::not_a_child);
  CHECK(cache.children(sequence) == std::vector<SequenceId>{kids[0]});
}

TEST_CASE("open_children: a branch with open branches of its own cannot be joined, and the good ones stay open") {
  KvCache cache({.n_pages = 8});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  const auto kids = step.fork(sequence, 2);
  step.append_unknown(kids[0], 3);
  step.fork(kids[1], 1);
  CHECK(status_of([&] { step.join(sequence, kids); }) == Status::open_children);
  CHECK(cache.alive(kids[0]));
  CHECK(cache.n_tokens(sequence) == 0);
  CHECK(cache.children(sequence) == kids);
}

TEST_CASE("out_of_range: positions that do not exist, with the limit in the text") {
  KvCache cache({.n_pages = 8, .max_position = 100});
  const SequenceId sequence = cache.create_sequence(90);
  Step step = cache.begin_step();
  CHECK(holds(text_of([&] { step.append_unknown(sequence, 11); }), "100"));
  CHECK(status_of([&] { step.append_unknown(sequence, 11); }) == Status::out_of_range);
  CHECK(status_of([&] { step.create_sequence(-1); }) == Status::out_of_range);
  const std::vector<Position> starts{101};
  CHECK(status_of([&] { step.fork(sequence, 1, {.positions = Positions::given, .starts = starts}); }) ==
        Status::out_of_range);
  step.abort();
  KvCache wide({.n_pages = 8});
  const SequenceId far = wide.create_sequence(kUnlimited - 10);
  Step again = wide.begin_step();
  CHECK(status_of([&] { again.fork(far, 3, {.positions = Positions::reserved(kUnlimited)}); }) == Status::out_of_range);
  CHECK(status_of([&] { again.append_unknown(far, 11); }) == Status::out_of_range);
  const auto kids = again.fork(far, 2);
  again.append_unknown(kids[0], 9);
  again.append_unknown(kids[1], 9);
  CHECK(status_of([&] { again.join(far, kids); }) == Status::out_of_range);
  CHECK(wide.children(far) == kids);
}

TEST_CASE("limit_reached: too many sequences, too deep a fork") {
  KvCache cache({.n_pages = 8, .max_sequences = 3, .max_depth = 1});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  CHECK(status_of([&] { step.fork(sequence, 3); }) == Status::limit_reached);
  CHECK(status_of([&] { step.fork(sequence, 2000000000); }) == Status::limit_reached);
  const auto kids = step.fork(sequence, 1);
  CHECK(status_of([&] { step.fork(kids[0], 1); }) == Status::limit_reached);
  step.create_sequence();
  CHECK(status_of([&] { step.create_sequence(); }) == Status::limit_reached);
  CHECK(cache.n_sequences() == 3);
}

TEST_CASE("wrong_state: calls that do not fit the state of the step") {
  KvCache cache({.n_pages = 8});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  CHECK(status_of([&] { (void)cache.begin_step(); }) == Status::wrong_state);
  CHECK(status_of([&] { (void)cache.snapshot(); }) == Status::wrong_state);
  CHECK(status_of([&] { step.commit(); }) == Status::wrong_state);
  CHECK(step.open());
  step.append_unknown(sequence, 1);
  REQUIRE(step.plan());
  CHECK(status_of([&] { step.append_unknown(sequence, 1); }) == Status::wrong_state);
  CHECK(status_of([&] { (void)step.plan(); }) == Status::wrong_state);
  CHECK(status_of([&] { cache.create_sequence(); }) == Status::wrong_state);
  step.commit();
  CHECK(status_of([&] { step.append_unknown(sequence, 1); }) == Status::wrong_state);
  CHECK(status_of([&] { (void)step.plan(); }) == Status::wrong_state);
  CHECK(status_of([&] { step.commit(); }) == Status::wrong_state);
  step.abort();
  CHECK(cache.n_tokens(sequence) == 1);
}

TEST_CASE("a moved step goes on under its new name, and the old one is over") {
  KvCache cache({.n_pages = 8});
  const SequenceId sequence = cache.create_sequence();
  Step first = cache.begin_step();
  first.append_unknown(sequence, 2);
  Step second = std::move(first);
  CHECK_FALSE(first.open());
  CHECK(status_of([&] { first.append_unknown(sequence, 1); }) == Status::wrong_state);
  finish(second);
  CHECK(cache.n_tokens(sequence) == 2);
  Step third = cache.begin_step();
  third.append_unknown(sequence, 5);
  second = std::move(third);
  second.abort();
  CHECK(cache.n_tokens(sequence) == 2);
}

TEST_CASE("no_room: a shortage is an outcome, and more than the pool has is reported as such") {
  KvCache cache({.n_pages = 2, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append_unknown(sequence, 17);
  const PlanResult plan = step.plan();
  REQUIRE_FALSE(plan);
  CHECK(plan.shortage().n_pages == 3);
  CHECK(plan.shortage().n_free == 2);
}

TEST_CASE("internal: a broken invariant of ours throws, it does not end the process") {
  CHECK(status_of([] { ANABRANCH_ASSERT(1 + 1 == 3); }) == Status::internal);
}

TEST_CASE("every status has a name") {
  for (std::int32_t i = 0; i <= static_cast<std::int32_t>(Status::internal); ++i)
    CHECK(std::string(status_name(static_cast<Status>(i))) != "unknown");
  CHECK(std::string(status_name(static_cast<Status>(-1))) == "unknown");
}
