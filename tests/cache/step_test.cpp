// A step is a transaction: it can be refused, changed, undone at any moment, and what it frees stays readable until
// commit.
#include <vector>

#include "cache_steps.hpp"
#include "plan_reading.hpp"

using namespace anabranch;
using namespace anabranch::test;

TEST_CASE("one step describes a fork with ragged branches, and the next one their join") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  const SequenceId trunk = cache.create_sequence();
  std::vector<SequenceId> kids;
  in_step(cache, [&](Step& step) {
    step.append(trunk, tokens(5));
    kids = step.fork(trunk, 3);
    for (std::int32_t k = 0; k < 3; ++k)
      step.append(kids[static_cast<std::size_t>(k)], tokens(k + 1, 10 * (k + 1)), Logits::last);
  });
  CHECK(cache.children(trunk) == kids);
  Step step = cache.begin_step();
  step.append(kids[1], {29});
  step.join(trunk, kids);
  step.append(trunk, {99}, Logits::last);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  REQUIRE(plan->n_rows() == 2);
  const RowIndex end = first_row_of(*plan, kids[1]);
  const RowIndex after = first_row_of(*plan, trunk);
  CHECK(visible_slots(*plan, end).size() == 5 + 2 + 1);
  CHECK(visible_slots(*plan, after).size() == 5 + 1 + 3 + 3 + 1);
  REQUIRE(plan->outputs.size() == 1);
  CHECK(plan->outputs[0].row == after);
  CHECK(plan->outputs[0].sequence == trunk);
  step.commit();
  CHECK_FALSE(cache.alive(kids[0]));
  CHECK(cache.n_tokens(trunk) == 13);
  CHECK(violations(cache) == "");
}

TEST_CASE("a step without rows has a plan") {
  KvCache cache({.n_pages = 4});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  const auto kids = step.fork(sequence, 2);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 0);
  CHECK(plan->outputs.empty());
  step.commit();
  CHECK(cache.children(sequence) == kids);
}

TEST_CASE("a step that is destroyed, aborted before or after its plan leaves no trace") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  append(cache, sequence, 6);
  const std::vector<Slot> slots = cache.slots_of(sequence);
  const std::int32_t n_free = cache.n_free_pages();
  std::vector<SequenceId> made;
  for (int how = 0; how < 3; ++how) {
    Step step = cache.begin_step();
    step.append_unknown(sequence, 7);
    made = step.fork(sequence, 3);
    step.append_unknown(made[0], 5);
    made.push_back(step.create_sequence());
    step.rewind(sequence, 13);
    if (how > 0) REQUIRE(step.plan());
    if (how > 1) step.abort();
  }
  CHECK(cache.n_free_pages() == n_free);
  CHECK(cache.slots_of(sequence) == slots);
  CHECK(cache.next_position(sequence) == 6);
  CHECK(cache.children(sequence).empty());
  CHECK(cache.n_sequences() == 1);
  for (const SequenceId gone : made) CHECK_FALSE(cache.alive(gone));
  CHECK(violations(cache) == "");
}

TEST_CASE("pages freed by a step are not written by that step, so that abort is right after the model ran") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const SequenceId old_sequence = cache.create_sequence();
  append(cache, old_sequence, 12);
  const std::vector<Slot> slots = cache.slots_of(old_sequence);
  Step step = cache.begin_step();
  step.drop(old_sequence);
  const SequenceId fresh = step.create_sequence();
  step.append_unknown(fresh, 8);
  const PlanResult refused = step.plan();
  REQUIRE_FALSE(refused);
  CHECK(refused.shortage().n_pages == 1);
  CHECK(refused.shortage().n_free == 1);
  step.rewind(fresh, 4);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  for (const Slot slot : plan->slots) CHECK(std::find(slots.begin(), slots.end(), slot) == slots.end());
  step.abort();
  CHECK(cache.slots_of(old_sequence) == slots);
  CHECK(cache.n_free_pages() == 1);
  in_step(cache, [&](Step& again) { again.drop(old_sequence); });
  CHECK(cache.n_free_pages() == 4);
}

TEST_CASE("the slots of a rejected draft are not written by the step that rejects it") {
  KvCache cache({.n_pages = 8, .page_size = 8});
  const SequenceId sequence = cache.create_sequence();
  append(cache, sequence, 6);
  const std::vector<Slot> before = cache.slots_of(sequence);
  Step step = cache.begin_step();
  step.rewind(sequence, 3);
  step.append_unknown(sequence, 3);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  for (const Slot slot : plan->slots) CHECK(std::find(before.begin(), before.end(), slot) == before.end());
  step.abort();
  CHECK(cache.slots_of(sequence) == before);
}

TEST_CASE("after a shortage the step may be changed and planned again") {
  KvCache cache({.n_pages = 3, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  const auto kids = step.fork(sequence, 4);
  for (const SequenceId kid : kids) step.append_unknown(kid, 2);
  for (int i = 0; i < 2; ++i) {
    const PlanResult plan = step.plan();
    REQUIRE_FALSE(plan);
    CHECK(plan.shortage().n_pages == 1);
    CHECK(plan.shortage().n_free == 3);
    CHECK(step.open());
    CHECK_FALSE(step.planned());
    CHECK(cache.n_free_pages() == 3);
  }
  step.drop(kids[2]);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 6);
  step.commit();
  CHECK(cache.n_free_pages() == 0);
  CHECK(violations(cache) == "");
}

TEST_CASE("rows computed before a late join did not see it") {
  KvCache cache({.n_pages = 16});
  const SequenceId trunk = cache.create_sequence();
  Step step = cache.begin_step();
  step.append(trunk, tokens(3));
  const auto kids = step.fork(trunk, 1);
  step.append(kids[0], tokens(2, 10));
  step.append(trunk, {20});
  step.join(trunk, kids);
  step.append(trunk, {30});
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  for (RowIndex row = 0; row < plan->n_rows(); ++row) {
    const TokenId token = plan->tokens[static_cast<std::size_t>(row)];
    const std::size_t seen = visible_slots(*plan, row).size();
    if (token == 20) CHECK(seen == 4);
    if (token == 11) CHECK(seen == 5);
    if (token == 30) CHECK(seen == 7);
  }
  step.abort();
}

TEST_CASE("several sequences may take the logits of one row: a fork without tokens") {
  KvCache cache({.n_pages = 16});
  const SequenceId trunk = cache.create_sequence();
  Step step = cache.begin_step();
  step.append(trunk, tokens(3), Logits::last);
  const auto kids = step.fork(trunk, 2);
  for (const SequenceId kid : kids) step.request_logits(kid);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  REQUIRE(plan->outputs.size() == 3);
  for (const Output& output : plan->outputs) CHECK(output.row == 2);
  step.commit();
  Step next = cache.begin_step();
  CHECK(status_of([&] { next.request_logits(kids[0]); }) == Status::bad_argument);
}

TEST_CASE("all rows of an append may be wanted, for speculative verification") {
  KvCache cache({.n_pages = 16});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append(sequence, tokens(4), Logits::all);
  step.append(sequence, tokens(2));
  step.append_unknown(sequence, 2, Logits::last);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  std::vector<RowIndex> rows;
  for (const Output& output : plan->outputs) rows.push_back(output.row);
  CHECK(rows == std::vector<RowIndex>{0, 1, 2, 3, 7});
  CHECK(plan->tokens[6] == kUnknownToken);
  step.abort();
}

TEST_CASE("tokens appended and taken back in one step are no rows") {
  KvCache cache({.n_pages = 16});
  const SequenceId sequence = cache.create_sequence();
  Step step = cache.begin_step();
  step.append(sequence, tokens(5), Logits::last);
  step.rewind(sequence, 2);
  step.append(sequence, tokens(3, 100));
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(std::vector<TokenId>(plan->tokens.begin(), plan->tokens.end()) == std::vector<TokenId>{0, 1, 100, 101, 102});
  CHECK(std::vector<Position>(plan->positions.begin(), plan->positions.end()) == std::vector<Position>{0, 1, 2, 3, 4});
  CHECK(plan->outputs.empty());
  step.commit();
  CHECK(cache.n_tokens(sequence) == 5);
}

TEST_CASE("a held slot is there when the pool is exhausted, forks included") {
  for (const ShareTail share : {ShareTail::spare, ShareTail::never}) {
    KvCache cache({.n_pages = 8, .page_size = 4, .share_tail = share});
    const SequenceId trunk = cache.create_sequence();
    in_step(cache, [&](Step& step) {
      step.append_unknown(trunk, 3);
      step.hold(trunk, 2);
    });
    std::vector<SequenceId> kids;
    in_step(cache, [&](Step& step) {
      kids = step.fork(trunk, 2);
      for (const SequenceId kid : kids) {
        step.append_unknown(kid, 1);
        step.hold(kid, 1);
      }
    });
    const SequenceId greedy = cache.create_sequence();
    while (cache.n_free_pages() > 0) append(cache, greedy, 4);
    in_step(cache, [&](Step& step) {
      step.hold(trunk, 0);
      step.append_unknown(trunk, 2);
      for (const SequenceId kid : kids) {
        step.hold(kid, 0);
        step.append_unknown(kid, 1);
      }
    });
    CHECK(cache.n_tokens(trunk) == 5);
    CHECK(violations(cache) == "");
    in_step(cache, [&](Step& step) {
      step.drop(trunk);
      step.drop(greedy);
    });
    CHECK(cache.n_free_pages() == 8);
  }
}

TEST_CASE("a hold that is given up is free again") {
  KvCache cache({.n_pages = 8, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  in_step(cache, [&](Step& step) { step.hold(sequence, 20); });
  CHECK(cache.n_free_pages() == 3);
  in_step(cache, [&](Step& step) { step.hold(sequence, 0); });
  CHECK(cache.n_free_pages() == 8);
}

TEST_CASE("branches are page-disjoint when tails are never shared, and share the tail otherwise") {
  const auto pages_of_new_tokens = [](ShareTail share) {
    KvCache cache({.n_pages = 64, .page_size = 16, .share_tail = share});
    const SequenceId trunk = cache.create_sequence();
    append(cache, trunk, 20);
    const std::int32_t n_free = cache.n_free_pages();
    in_step(cache, [&](Step& step) {
      for (const SequenceId kid : step.fork(trunk, 4)) step.append_unknown(kid, 2);
    });
    return n_free - cache.n_free_pages();
  };
  CHECK(pages_of_new_tokens(ShareTail::never) == 4);
  CHECK(pages_of_new_tokens(ShareTail::spare) <= 3);
}

TEST_CASE("a detached branch keeps its prefix when its parent is gone") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const SequenceId prompt = cache.create_sequence();
  append(cache, prompt, 10);
  const std::vector<Slot> prefix = cache.slots_of(prompt);
  std::vector<SequenceId> users;
  in_step(cache, [&](Step& step) {
    users = step.fork(prompt, 3);
    for (const SequenceId user : users) step.detach(user);
    step.drop(prompt);
    for (const SequenceId user : users) step.append_unknown(user, 1);
  });
  for (const SequenceId user : users) {
    std::vector<Slot> slots = cache.slots_of(user);
    slots.resize(10);
    CHECK(slots == prefix);
    CHECK(cache.parent(user) == kNoSequence);
  }
  Step step = cache.begin_step();
  for (const SequenceId user : users) step.append_unknown(user, 1);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  std::int32_t groups_over_all = 0;
  for (const VisibilityGroup& group : plan->groups)
    groups_over_all += group.row_begin == 0 && group.row_end == 3 && group.n_keys == 10 ? 1 : 0;
  CHECK(groups_over_all == 1);  // shared history, not parentage
  step.commit();
  in_step(cache, [&](Step& last) {
    for (const SequenceId user : users) last.drop(user);
  });
  CHECK(cache.n_free_pages() == 16);
}

TEST_CASE("a step that only extends sequences keeps the epoch, anything else changes it") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  const SequenceId sequence = cache.create_sequence();
  append(cache, sequence, 2);
  append(cache, sequence, 1);
  const std::uint64_t epoch = cache.epoch();
  append(cache, sequence, 5);
  CHECK(cache.epoch() == epoch);
  in_step(cache, [&](Step& step) { step.fork(sequence, 2); });
  CHECK(cache.epoch() != epoch);
}

TEST_CASE("payloads belong to sequences and start as default ones") {
  BasicKvCache<int, Positions, FixedPageSize<16>> cache({.n_pages = 8, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  CHECK(cache.payload(sequence) == 0);
  cache.payload(sequence) = 7;
  std::vector<SequenceId> kids;
  in_step(cache, [&](auto& step) { kids = step.fork(sequence, 2); });
  CHECK(cache.payload(kids[0]) == 0);
  cache.payload(kids[0]) = 8;
  {
    auto step = cache.begin_step();
    cache.payload(sequence) = 9;
    step.drop(kids[0]);
  }
  CHECK(cache.payload(sequence) == 9);
  CHECK(cache.payload(kids[0]) == 8);
  in_step(cache, [&](auto& step) { step.drop(kids[0]); });
  CHECK(status_of([&] { cache.payload(kids[0]); }) == Status::stale_sequence);
  in_step(cache, [&](auto& step) { kids = step.fork(sequence, 1); });
  CHECK(cache.payload(kids[0]) == 0);
}
