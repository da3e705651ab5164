// Rows and visibility groups of small plans, written out by hand.
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "catch.hpp"

namespace ab = anabranch;

namespace {

/// "[0,2) causal 0+2" per group.
std::vector<std::string> text_of(const ab::StepPlan& plan) {
  std::vector<std::string> result;
  for (const ab::VisibilityGroup& group : plan.groups) {
    std::string text = "[" + std::to_string(group.row_begin) + "," + std::to_string(group.row_end) + ") " +
                       (group.visibility == ab::Visibility::causal ? "causal" : "full");
    ab::for_each_run(group, plan.views, [&](ab::Slot first, std::int32_t count) {
      text += " " + std::to_string(first) + "+" + std::to_string(count);
    });
    result.push_back(text);
  }
  return result;
}

using Texts = std::vector<std::string>;

void commit_prompt(ab::KvCache& cache, ab::SequenceId sequence, std::int32_t n) {
  auto step = cache.begin_step();
  step.append(sequence, std::vector<ab::TokenId>(static_cast<std::size_t>(n), 1));
  REQUIRE(step.plan());
  step.commit();
}

}  // namespace

TEST_CASE("a prompt is one causal group, a single row one full group") {
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto prompt = cache.begin_step();
  prompt.append(sequence, {1, 2, 3, 4, 5});
  const auto plan = prompt.plan();
  CHECK(text_of(*plan) == Texts{"[0,5) causal 0+5"});
  prompt.commit();
  auto step = cache.begin_step();
  step.append(sequence, {6});
  CHECK(text_of(*step.plan()) == Texts{"[0,1) full 0+6"});
}

TEST_CASE("a fork and its ragged prefixes share one group over the trunk, the forking row included") {
  ab::KvCache cache({.n_pages = 8, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  commit_prompt(cache, sequence, 6);
  auto step = cache.begin_step();
  step.append(sequence, {9});
  const auto kids = step.fork(sequence, 2);
  step.append(kids[0], {1});
  step.append(kids[1], {1, 2});
  CHECK(text_of(*step.plan()) == Texts{"[0,4) full 0+7", "[1,2) full 7+1", "[2,4) causal 8+2"});
}

TEST_CASE("twenty joined blocks of eight are one group") {
  ab::KvCache cache({.n_pages = 400, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  commit_prompt(cache, sequence, 3);
  for (int block = 0; block < 20; ++block) {
    auto step = cache.begin_step();
    const auto kids = step.fork(sequence, 8);
    for (const ab::SequenceId kid : kids) step.append(kid, {1, 2});
    step.join(sequence, kids);
    step.append(sequence, {3});
    REQUIRE(step.plan());
    step.commit();
  }
  auto step = cache.begin_step();
  step.append(sequence, {4});
  const auto plan = step.plan();
  CHECK(plan->groups.size() == 1);
  CHECK(plan->groups[0].n_keys == 3 + 20 * 17 + 1);
}

TEST_CASE("detached sequences that were cut to different lengths still share the group of their common prefix") {
  ab::KvCache cache({.n_pages = 8, .page_size = 16});
  const ab::SequenceId sequence = cache.create_sequence();
  commit_prompt(cache, sequence, 12);
  auto step = cache.begin_step();
  const auto kids = step.fork(sequence, 3);
  for (const ab::SequenceId kid : kids) step.detach(kid);
  step.drop(sequence);
  step.rewind(kids[0], 4);
  step.rewind(kids[1], 8);
  for (const ab::SequenceId kid : kids) step.append(kid, {7});
  const auto plan = step.plan();
  // The first four slots are seen by all three rows, the next four by two, the last four by one.
  REQUIRE(plan->groups.size() >= 3);
  CHECK(plan->groups[0].row_end - plan->groups[0].row_begin == 3);
  CHECK(plan->groups[0].n_keys == 4);
  std::int32_t keys = 0;
  for (const auto& group : plan->groups) keys += group.n_keys;
  CHECK(keys == 12 + 3);
  step.commit();
  CHECK(cache.snapshot().check().empty());
}

TEST_CASE("a row may come before one that it sees, joined from below a child without tokens") {
  ab::KvCache cache({.n_pages = 16, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1});
  const auto kids = step.fork(sequence, 1);
  step.append(sequence, {2});
  const auto grandkids = step.fork(kids[0], 1);
  step.append(grandkids[0], {3});
  step.join(kids[0], grandkids);
  step.join(sequence, kids);
  step.append(sequence, {4});
  const auto plan = step.plan();
  REQUIRE(plan);
  CHECK(std::vector<ab::TokenId>(plan->tokens.begin(), plan->tokens.end()) == std::vector<ab::TokenId>{1, 2, 4, 3});
  std::int32_t n_keys = 0;
  for (const ab::VisibilityGroup& group : plan->groups)
    if (group.row_begin <= 2 && 2 < group.row_end) n_keys += group.n_keys;
  CHECK(n_keys == 4);  // itself and all the others
}

TEST_CASE("rows of nested joins come after the rows that they see") {
  ab::KvCache cache({.n_pages = 16, .page_size = 4});
  const ab::SequenceId sequence = cache.create_sequence();
  auto step = cache.begin_step();
  step.append(sequence, {1});
  const auto kids = step.fork(sequence, 2);
  step.append(sequence, {2});  // the parent goes on beside its children
  step.append(kids[0], {3});
  const auto grandkids = step.fork(kids[0], 2);
  step.append(grandkids[1], {4});
  step.append(grandkids[0], {5});
  step.join(kids[0], {grandkids[1], grandkids[0]});
  step.append(kids[0], {6});
  step.append(kids[1], {7});
  step.join(sequence, kids);
  step.append(sequence, {8});
  const auto plan = step.plan();
  const std::vector<ab::TokenId> tokens(plan->tokens.begin(), plan->tokens.end());
  const auto at = [&](ab::TokenId token) { return std::find(tokens.begin(), tokens.end(), token) - tokens.begin(); };
  CHECK(tokens.size() == 8);
  CHECK(at(1) == 0);
  CHECK(at(3) < at(4));
  CHECK(at(4) < at(6));
  CHECK(at(5) < at(6));
  for (const ab::TokenId token : {2, 6, 7}) CHECK(at(token) < at(8));
  step.commit();
  CHECK(cache.snapshot().check().empty());
}
