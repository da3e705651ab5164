// A step is a transaction: it can be refused, changed, undone at any moment, and what it frees stays readable until
// commit.
#include <vector>

#include "cache_steps.hpp"
#include "plan_reading.hpp"

using namespace anabranch;
using namespace anabranch::test;

TEST_CASE("one step describes a fork with ragged branches, and the next one their join") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  const LineId trunk = cache.create_line();
  std::vector<LineId> kids;
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
  CHECK(plan->outputs[0].line == trunk);
  step.commit();
  CHECK_FALSE(cache.alive(kids[0]));
  CHECK(cache.n_tokens(trunk) == 13);
  CHECK(violations(cache) == "");
}

TEST_CASE("a step without rows has a plan") {
  KvCache cache({.n_pages = 4});
  const LineId line = cache.create_line();
  Step step = cache.begin_step();
  const auto kids = step.fork(line, 2);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 0);
  CHECK(plan->outputs.empty());
  step.commit();
  CHECK(cache.children(line) == kids);
}

TEST_CASE("a step that is destroyed, aborted before or after its plan leaves no trace") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId line = cache.create_line();
  append(cache, line, 6);
  const std::vector<Slot> slots = cache.slots_of(line);
  const std::int32_t n_free = cache.n_free_pages();
  std::vector<LineId> made;
  for (int how = 0; how < 3; ++how) {
    Step step = cache.begin_step();
    step.append(line, 7);
    made = step.fork(line, 3);
    step.append(made[0], 5);
    made.push_back(step.create_line());
    step.rewind(line, 13);
    if (how > 0) REQUIRE(step.plan());
    if (how > 1) step.abort();
  }
  CHECK(cache.n_free_pages() == n_free);
  CHECK(cache.slots_of(line) == slots);
  CHECK(cache.next_position(line) == 6);
  CHECK(cache.children(line).empty());
  CHECK(cache.n_lines() == 1);
  for (const LineId gone : made) CHECK_FALSE(cache.alive(gone));
  CHECK(violations(cache) == "");
}

TEST_CASE("pages freed by a step are not written by that step, so that abort is right after the model ran") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const LineId old_line = cache.create_line();
  append(cache, old_line, 12);
  const std::vector<Slot> slots = cache.slots_of(old_line);
  Step step = cache.begin_step();
  step.drop(old_line);
  const LineId fresh = step.create_line();
  step.append(fresh, 8);
  const PlanResult refused = step.plan();
  REQUIRE_FALSE(refused);
  CHECK(refused.shortage().n_pages == 1);
  CHECK(refused.shortage().n_free == 1);
  step.rewind(fresh, 4);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  for (const Slot slot : plan->slots) CHECK(std::find(slots.begin(), slots.end(), slot) == slots.end());
  step.abort();
  CHECK(cache.slots_of(old_line) == slots);
  CHECK(cache.n_free_pages() == 1);
  in_step(cache, [&](Step& again) { again.drop(old_line); });
  CHECK(cache.n_free_pages() == 4);
}

TEST_CASE("the slots of a rejected draft are not written by the step that rejects it") {
  KvCache cache({.n_pages = 8, .page_size = 8});
  const LineId line = cache.create_line();
  append(cache, line, 6);
  const std::vector<Slot> before = cache.slots_of(line);
  Step step = cache.begin_step();
  step.rewind(line, 3);
  step.append(line, 3);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  for (const Slot slot : plan->slots) CHECK(std::find(before.begin(), before.end(), slot) == before.end());
  step.abort();
  CHECK(cache.slots_of(line) == before);
}

TEST_CASE("after a shortage the step may be changed and planned again") {
  KvCache cache({.n_pages = 3, .page_size = 4});
  const LineId line = cache.create_line();
  Step step = cache.begin_step();
  const auto kids = step.fork(line, 4);
  for (const LineId kid : kids) step.append(kid, 2);
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
  const LineId trunk = cache.create_line();
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

TEST_CASE("several lines may take the logits of one row: a fork without tokens") {
  KvCache cache({.n_pages = 16});
  const LineId trunk = cache.create_line();
  Step step = cache.begin_step();
  step.append(trunk, tokens(3), Logits::last);
  const auto kids = step.fork(trunk, 2);
  for (const LineId kid : kids) step.request_logits(kid);
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
  const LineId line = cache.create_line();
  Step step = cache.begin_step();
  step.append(line, tokens(4), Logits::all);
  step.append(line, tokens(2));
  step.append(line, 2, Logits::last);
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
  const LineId line = cache.create_line();
  Step step = cache.begin_step();
  step.append(line, tokens(5), Logits::last);
  step.rewind(line, 2);
  step.append(line, tokens(3, 100));
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(std::vector<TokenId>(plan->tokens.begin(), plan->tokens.end()) == std::vector<TokenId>{0, 1, 100, 101, 102});
  CHECK(std::vector<Position>(plan->positions.begin(), plan->positions.end()) == std::vector<Position>{0, 1, 2, 3, 4});
  CHECK(plan->outputs.empty());
  step.commit();
  CHECK(cache.n_tokens(line) == 5);
}

TEST_CASE("a held slot is there when the pool is exhausted, forks included") {
  for (const ShareTail share : {ShareTail::spare, ShareTail::never}) {
    KvCache cache({.n_pages = 8, .page_size = 4, .share_tail = share});
    const LineId trunk = cache.create_line();
    in_step(cache, [&](Step& step) {
      step.append(trunk, 3);
      step.hold(trunk, 2);
    });
    std::vector<LineId> kids;
    in_step(cache, [&](Step& step) {
      kids = step.fork(trunk, 2);
      for (const LineId kid : kids) {
        step.append(kid, 1);
        step.hold(kid, 1);
      }
    });
    const LineId greedy = cache.create_line();
    while (cache.n_free_pages() > 0) append(cache, greedy, 4);
    in_step(cache, [&](Step& step) {
      step.hold(trunk, 0);
      step.append(trunk, 2);
      for (const LineId kid : kids) {
        step.hold(kid, 0);
        step.append(kid, 1);
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
  const LineId line = cache.create_line();
  in_step(cache, [&](Step& step) { step.hold(line, 20); });
  CHECK(cache.n_free_pages() == 3);
  in_step(cache, [&](Step& step) { step.hold(line, 0); });
  CHECK(cache.n_free_pages() == 8);
}

TEST_CASE("branches are page-disjoint when tails are never shared, and share the tail otherwise") {
  const auto pages_of_new_tokens = [](ShareTail share) {
    KvCache cache({.n_pages = 64, .page_size = 16, .share_tail = share});
    const LineId trunk = cache.create_line();
    append(cache, trunk, 20);
    const std::int32_t n_free = cache.n_free_pages();
    in_step(cache, [&](Step& step) {
      for (const LineId kid : step.fork(trunk, 4)) step.append(kid, 2);
    });
    return n_free - cache.n_free_pages();
  };
  CHECK(pages_of_new_tokens(ShareTail::never) == 4);
  CHECK(pages_of_new_tokens(ShareTail::spare) <= 3);
}

TEST_CASE("a detached branch keeps its prefix when its parent is gone") {
  KvCache cache({.n_pages = 16, .page_size = 4});
  const LineId prompt = cache.create_line();
  append(cache, prompt, 10);
  const std::vector<Slot> prefix = cache.slots_of(prompt);
  std::vector<LineId> users;
  in_step(cache, [&](Step& step) {
    users = step.fork(prompt, 3);
    for (const LineId user : users) step.detach(user);
    step.drop(prompt);
    for (const LineId user : users) step.append(user, 1);
  });
  for (const LineId user : users) {
    std::vector<Slot> slots = cache.slots_of(user);
    slots.resize(10);
    CHECK(slots == prefix);
    CHECK(cache.parent(user) == kNoLine);
  }
  Step step = cache.begin_step();
  for (const LineId user : users) step.append(user, 1);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  std::int32_t groups_over_all = 0;
  for (const VisibilityGroup& group : plan->groups)
    groups_over_all += group.row_begin == 0 && group.row_end == 3 && group.n_keys == 10 ? 1 : 0;
  CHECK(groups_over_all == 1);  // shared history, not parentage
  step.commit();
  in_step(cache, [&](Step& last) {
    for (const LineId user : users) last.drop(user);
  });
  CHECK(cache.n_free_pages() == 16);
}

TEST_CASE("a step that only extends lines keeps the epoch, anything else changes it") {
  KvCache cache({.n_pages = 32, .page_size = 4});
  const LineId line = cache.create_line();
  append(cache, line, 2);
  append(cache, line, 1);
  const std::uint64_t epoch = cache.epoch();
  append(cache, line, 5);
  CHECK(cache.epoch() == epoch);
  in_step(cache, [&](Step& step) { step.fork(line, 2); });
  CHECK(cache.epoch() != epoch);
}

TEST_CASE("payloads belong to lines and start as default ones") {
  BasicKvCache<int, Positions, FixedPageSize<16>> cache({.n_pages = 8, .page_size = 16});
  const LineId line = cache.create_line();
  CHECK(cache.payload(line) == 0);
  cache.payload(line) = 7;
  std::vector<LineId> kids;
  in_step(cache, [&](auto& step) { kids = step.fork(line, 2); });
  CHECK(cache.payload(kids[0]) == 0);
  cache.payload(kids[0]) = 8;
  {
    auto step = cache.begin_step();
    cache.payload(line) = 9;
    step.drop(kids[0]);
  }
  CHECK(cache.payload(line) == 9);
  CHECK(cache.payload(kids[0]) == 8);
  in_step(cache, [&](auto& step) { step.drop(kids[0]); });
  CHECK(status_of([&] { cache.payload(kids[0]); }) == Status::stale_line);
  in_step(cache, [&](auto& step) { kids = step.fork(line, 1); });
  CHECK(cache.payload(kids[0]) == 0);
}
