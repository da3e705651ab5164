// Rows that nobody sees are not planned, whoever saw them before in the same step.
#include <vector>

#include <anabranch/anabranch.hpp>

#include "catch.hpp"

using namespace anabranch;

TEST_CASE("rows behind which a dropped child wrote are gone with their sequence's rewind") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(root, std::vector<TokenId>(16, 1), Logits::all);
  const SequenceId child = step.fork(root, 1)[0];
  step.append(child, {2});
  step.drop(child);
  step.rewind(root, 0);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 0);
  CHECK(plan->outputs.empty());
  step.commit();
  CHECK(cache.n_free_pages() == 4);
}

TEST_CASE("rows that nobody sees take no pages") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(root, std::vector<TokenId>(17, 1));
  const SequenceId child = step.fork(root, 1)[0];
  step.append(child, {2});
  const SequenceId grandchild = step.fork(child, 1)[0];
  step.append(grandchild, {3});
  step.drop(child);
  step.rewind(root, 0);
  step.append(root, {4});
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 1);
  step.abort();
  CHECK(cache.n_tokens(root) == 0);
  CHECK(cache.snapshot().check().empty());
}

TEST_CASE("rows of a dropped child that its own child joined into the parent stay") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(root, {1, 2});
  const SequenceId child = step.fork(root, 1)[0];
  step.append(child, {3});
  step.join(root, {child});
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  CHECK(plan->n_rows() == 3);
}

TEST_CASE("a sequence that is joined in the same step keeps the outputs that it asked for") {
  KvCache cache({.n_pages = 4, .page_size = 4});
  const SequenceId root = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(root, {1});
  const std::vector<SequenceId> children = step.fork(root, 3);
  step.append(children[0], {2});
  step.append(children[1], {3});
  step.append(children[2], {4});
  for (const SequenceId child : children) step.request_logits(child);
  step.join(root, {children[0], children[1]});
  step.drop(children[2]);
  const PlanResult plan = step.plan();
  REQUIRE(plan);
  REQUIRE(plan->outputs.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(plan->outputs[i].sequence == children[i]);
    CHECK(plan->tokens[static_cast<std::size_t>(plan->outputs[i].row)] == static_cast<TokenId>(2 + i));
  }
}
