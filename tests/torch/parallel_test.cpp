// Decoded in parallel == each token decoded alone == dense-mask path == oracle, for forks, ragged prefixes, joins of
// any kind, nesting and several requests at once, under every position policy.
#include "catch.hpp"
#include "torch/random_script.hpp"
#include "torch/tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <anabranch/eigen/plan_model.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace {

namespace ab = anabranch;
using ab::Position;
using ab::Positions;
using ab::test::difference;
using ab::test::Schedule;
using ab::test::TreeReplay;
using ab::test::TreeScript;
using ab::torch::AttentionPath;
using ab::torch::CausalLm;
using ab::torch::Weights;

constexpr double kTreeTolerance = 1e-5;
const std::vector<Positions> kPolicies = {Positions::sequential, Positions::longest, Positions::reserved(32),
                                          Positions::given};

/// The models of one family that are compared.
struct Bench {
  explicit Bench(const ab::eigen::Shape& shape)
      : weights(ab::eigen::random_weights(shape, 41)),
        folder(weights),
        oracle(weights),
        native(CausalLm::load(folder.path(), {.weights = Weights::float32})),
        groups(native.with_own_slots()),
        dense(native.with_own_slots()),
        alone(native.with_own_slots()) {
    groups.set_attention(AttentionPath::groups);
    dense.set_attention(AttentionPath::dense);
  }
  ab::eigen::Weights weights;
  ab::test::TinyFolder folder;
  ab::eigen::Oracle oracle;
  CausalLm native, groups, dense, alone;
};

ab::test::Host host(CausalLm& model) {
  return [&model](const ab::StepPlan& plan) { return model(plan); };
}

/// The central statement. Returns the number of passes of the parallel run.
int check_all_agree(Bench& bench, const TreeScript& script, std::int32_t page_size = 4) {
  const ab::CacheOptions options{.n_pages = 512, .page_size = page_size};
  ab::eigen::PlanModel exact{bench.weights};
  TreeReplay together(script, Schedule::together,
                      {host(bench.groups), host(bench.dense), std::ref(exact), host(bench.native)}, options);
  TreeReplay alone(script, Schedule::alone, {host(bench.alone)}, options);
  REQUIRE(together.tokens().size() == alone.tokens().size());
  const ab::eigen::Matrix expected = oracle_logits(bench.oracle, together.tokens());
  double native = 0, groups = 0, dense = 0, plan_model = 0, one_by_one = 0;
  for (std::size_t i = 0; i < together.tokens().size(); ++i) {
    REQUIRE(together.tokens()[i].position == alone.tokens()[i].position);
    native = std::max(native, difference(together.logits(3, i), expected, i));
    groups = std::max(groups, difference(together.logits(0, i), expected, i));
    dense = std::max(dense, difference(together.logits(1, i), expected, i));
    plan_model = std::max(plan_model, difference(together.logits(2, i), expected, i));
    one_by_one = std::max(one_by_one, difference(alone.logits(0, i), expected, i));
  }
  CHECK(native < kTreeTolerance);
  CHECK(groups < kTreeTolerance);
  CHECK(dense < kTreeTolerance);
  CHECK(plan_model < kTreeTolerance);
  CHECK(one_by_one < kTreeTolerance);
  CHECK(together.cache().snapshot().check().empty());
  return together.n_passes();
}

/// Where children of a `given` fork start; nothing for the other policies.
std::vector<Position> starts(Positions policy, std::vector<Position> given) {
  return policy.is_given() ? std::move(given) : std::vector<Position>{};
}
Position next(Positions policy, Position given) { return policy.is_given() ? given : ab::kNone; }

}  // namespace

TEST_CASE("fork, ragged prefixes, early finishers and a join agree in every family and policy") {
  for (const ab::eigen::Shape& shape : {ab::test::llama_shape(), ab::test::qwen2_shape(), ab::test::qwen3_shape()}) {
    Bench bench(shape);
    for (const Positions policy : kPolicies) {
      TreeScript s;
      const int trunk = s.create();
      s.append(trunk, {3, 1, 4, 1, 5, 9, 2});
      s.pass();
      s.append(trunk, {6});  // fork token and all prefixes in one pass
      const auto kids = s.fork(trunk, 3, policy, starts(policy, {8, 20, 8}));
      s.append(kids[0], {10});
      s.append(kids[1], {11, 12, 13, 14});
      s.append(kids[2], {15, 16});
      s.pass();
      for (int round = 0; round < 5; ++round) {
        if (round < 2) s.append(kids[1], {20 + round});  // finishes first
        if (round < 4) s.append(kids[2], {30 + round});
        s.append(kids[0], {40 + round});
        s.pass();
      }
      s.append(kids[0], {50});  // the last end and what sees all branches: one pass
      s.join(trunk, {kids[0], kids[1], kids[2]}, next(policy, 40));
      s.append(trunk, {51, 52});
      s.pass();
      s.append(trunk, {53});
      CHECK(check_all_agree(bench, s) == 9);
    }
  }
}

TEST_CASE("nested forks, joins of a subset, late joins and other orders agree") {
  Bench bench(ab::test::llama_shape());
  for (const Positions policy : kPolicies) {
    TreeScript s;
    const int trunk = s.create();
    s.append(trunk, {1, 2, 3});
    const auto outer = s.fork(trunk, 4, policy.kind == Positions::Kind::reserved ? Positions::reserved(200) : policy,
                              starts(policy, {3, 3, 50, 9}));
    for (std::size_t k = 0; k < outer.size(); ++k) s.append(outer[k], {static_cast<int>(10 + k), 5});
    s.pass();
    const auto inner = s.fork(outer[1], 2, policy, starts(policy, {6, 7}));
    s.append(inner[0], {20, 21, 22});
    s.append(inner[1], {23});
    s.append(outer[0], {24});
    s.pass();
    const auto innermost = s.fork(inner[1], 2,
                                  policy.is_given()                          ? Positions::longest
                                  : policy.kind == Positions::Kind::reserved ? Positions::reserved(8)
                                                                             : policy);
    s.append(innermost[1], {25, 26});
    s.append(innermost[0], {27});
    s.append(trunk, {28});  // the parent goes on while children are open
    s.pass();
    s.join(inner[1], {innermost[1], innermost[0]});
    s.append(inner[1], {29});
    s.join(outer[1], {inner[1], inner[0]}, next(policy, 30));
    s.append(outer[1], {30});
    s.join(trunk, {outer[3], outer[0]}, next(policy, 70));  // a subset, reordered; the rest stays open
    s.append(trunk, {31});
    s.append(outer[2], {32});
    s.pass();
    s.append(outer[2], {33});
    s.append(outer[1], {34});
    s.pass();
    s.join(trunk, {outer[1]}, next(policy, 90));
    s.append(trunk, {35, 36});
    s.drop(outer[2]);
    s.pass();
    s.append(trunk, {37});
    check_all_agree(bench, s);
    check_all_agree(bench, s, 1);
    check_all_agree(bench, s, 16);
  }
}

TEST_CASE("two requests with forks in different phases share passes and agree") {
  Bench bench(ab::test::qwen3_shape());
  for (const Positions policy : {Positions::sequential, Positions::longest}) {
    TreeScript s;
    const int a = s.create();
    const int b = s.create();
    s.append(a, {1, 2, 3, 4, 5});
    s.append(b, {6, 7, 8});
    s.pass();
    const auto of_a = s.fork(a, 3, policy);
    for (const int kid : of_a) s.append(kid, {9 + kid});
    s.append(b, {12});
    s.pass();
    const auto of_b = s.fork(b, 2, policy);
    for (const int kid : of_b) s.append(kid, {20, 21, 22});
    for (const int kid : of_a) s.append(kid, {30 + kid});
    s.pass();
    s.join(a, of_a);
    s.append(a, {40});
    for (const int kid : of_b) s.append(kid, {41});
    s.pass();
    s.join(b, {of_b[1]});
    s.drop(of_b[0]);
    s.append(b, {42});
    s.append(a, {43, 44});
    check_all_agree(bench, s);
  }
}

TEST_CASE("drafts verified in one pass, adopted and rewound agree") {
  Bench bench(ab::test::llama_shape());
  TreeScript s;
  const int trunk = s.create();
  s.append(trunk, {1, 2, 3, 4, 5, 6});
  s.pass();
  const auto drafts = s.fork(trunk, 3, Positions::sequential);
  s.append(drafts[0], {7, 8, 9});
  s.append(drafts[1], {7, 10, 11});
  s.append(drafts[2], {12, 13, 14});
  s.pass();
  s.rewind(drafts[1], 8);
  s.adopt(trunk, drafts[1]);
  s.append(trunk, {15});
  s.pass();
  s.rewind(trunk, 8);
  s.append(trunk, {16, 17});
  s.pass();
  s.append(trunk, {18});
  check_all_agree(bench, s);
}

TEST_CASE("twenty-four branches over a long trunk agree: batches of short tails and long ones") {
  ab::eigen::Shape shape = ab::test::llama_shape();
  shape.layers = 1;
  Bench bench(shape);
  TreeScript s;
  const int trunk = s.create();
  std::vector<ab::TokenId> prompt;
  for (int i = 0; i < 150; ++i) prompt.push_back((i * 11) % 64);
  s.append(trunk, prompt);
  const auto kids = s.fork(trunk, 24, Positions::longest);
  for (std::size_t k = 0; k < kids.size(); ++k)
    s.append(kids[k], std::vector<ab::TokenId>(1 + (k % 8) * 6, static_cast<int>(k)));
  s.pass();
  for (int round = 0; round < 2; ++round) {
    for (const int kid : kids) s.append(kid, {round + 60});
    s.pass();
  }
  s.join(trunk, kids);
  s.append(trunk, {1, 2});
  check_all_agree(bench, s);
}

TEST_CASE("random trees agree") {
  Bench bench(ab::test::qwen2_shape());
  for (unsigned seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    ab::test::RandomScript random(seed, 2, 40,
                                  {.mix = {.append = 8, .fork = 4, .join = 4, .rewind = 2, .adopt = 1, .drop = 1},
                                   .max_sequences = 24,
                                   .policies = {Positions::sequential, Positions::longest, Positions::reserved(32)},
                                   .take_back = ab::test::TakeBack::settled},
                                  64);
    check_all_agree(bench, random.script(), 1 + random.below(8));
  }
}
