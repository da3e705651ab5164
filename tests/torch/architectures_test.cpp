// Every architecture: branch trees beside the oracle, whose mask is dense, in all position policies; int8 rows that
// neighbours do not change; kept weights; and what is needed of memory.
#include "catch.hpp"
#include "torch/load_script.hpp"
#include "torch/random_script.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
namespace {

namespace ab = anabranch;
using ab::Position;
using ab::Positions;
using ab::eigen::Shape;
using ab::test::difference;
using ab::test::Schedule;
using ab::test::TreeReplay;
using ab::test::TreeScript;
using ab::torch::AttentionPath;
using ab::torch::CausalLm;
using ab::torch::Weights;

std::string name_of(const Shape& shape) { return ab::eigen::impl::family_of(shape).class_name; }

ab::test::RandomScript random_script(unsigned seed) {
  return {seed,
          2,
          40,
          {.mix = {.append = 8, .fork = 4, .join = 4, .rewind = 2, .adopt = 1, .drop = 1},
           .max_sequences = 16,
           .long_tokens = 9,
           .policies = {Positions::sequential, Positions::longest, Positions::reserved(32)},
           .take_back = ab::test::TakeBack::settled},
          64};
}

/// A fork with given positions that leave gaps wider than the windows, branches inside a branch, and a join.
TreeScript given_script() {
  TreeScript s;
  const int trunk = s.create();
  s.append(trunk, {3, 1, 4, 1, 5, 9, 2, 6, 5, 3});
  const auto kids = s.fork(trunk, 3, Positions::given, {10, 30, 12});
  s.append(kids[0], {10, 11, 12});
  s.append(kids[1], {13, 14, 15, 16, 17, 18, 19});
  s.append(kids[2], {20, 21});
  s.pass();
  const auto inner = s.fork(kids[1], 2, Positions::given, {37, 50});
  for (int round = 0; round < 5; ++round) {
    s.append(inner[0], {22 + round});
    s.append(inner[1], {32 + round, 42});
    s.append(kids[0], {50 + round});
    s.pass();
  }
  s.join(kids[1], inner, 56);
  s.append(kids[1], {1, 2});
  s.join(trunk, {kids[1], kids[0]}, 40);  // behind the one branch, and before the end of the other
  s.append(trunk, {7, 8});
  s.pass();
  s.append(trunk, {9});
  return s;
}

/// One model on the three attention paths.
struct Runners {
  explicit Runners(const Shape& shape)
      : weights(ab::eigen::random_weights(shape, 17)),
        folder(weights),
        oracle(weights),
        native(CausalLm::load(folder.path(), {.weights = Weights::float32})),
        groups(native.with_own_slots()),
        dense(native.with_own_slots()) {
    groups.set_attention(AttentionPath::groups);
    dense.set_attention(AttentionPath::dense);
  }

  void check(const TreeScript& script) {
    const ab::CacheOptions options{.n_pages = 512, .page_size = 4};
    const TreeReplay replay(script, Schedule::together, {std::ref(native), std::ref(groups), std::ref(dense)}, options);
    const ab::eigen::Matrix expected = oracle_logits(oracle, replay.tokens());
    for (std::size_t path = 0; path < 3; ++path) {
      double worst = 0;
      for (std::size_t i = 0; i < replay.tokens().size(); ++i)
        worst = std::max(worst, difference(replay.logits(path, i), expected, i));
      INFO("path " << path);
      CHECK(worst < 2e-5);
    }
  }

  ab::eigen::Weights weights;
  ab::test::TinyFolder folder;
  ab::eigen::Oracle oracle;
  CausalLm native, groups, dense;
};

/// Two prompts, branches of many lengths, branches inside one of them, and joins.
TreeScript grown_script(Positions policy) {
  TreeScript s;
  int next = 0;
  const auto tokens = [&next](int n) {
    std::vector<ab::TokenId> out;
    for (int i = 0; i < n; ++i) out.push_back((next = next * 13 + 7) % 64), next %= 64;
    return out;
  };
  const int trunk = s.create(), other = s.create();
  s.append(trunk, tokens(21));
  s.append(other, tokens(5));
  const auto kids = s.fork(trunk, 4, policy);
  for (std::size_t k = 0; k < kids.size(); ++k) s.append(kids[k], tokens(1 + static_cast<int>(k) * 3));
  s.pass();
  const auto nested = s.fork(kids[1], 2, policy.kind == Positions::Kind::reserved ? Positions::reserved(9) : policy);
  for (int pass = 0; pass < 5; ++pass) {
    for (const int kid : nested) s.append(kid, tokens(1));
    for (const int kid : kids)
      if (kid != kids[1]) s.append(kid, tokens(1 + pass % 2));
    if (pass % 2 == 0) s.append(other, tokens(2));
    s.pass();
  }
  s.join(kids[1], nested);
  s.append(kids[1], tokens(2));
  s.pass();
  s.join(trunk, {kids[3], kids[0], kids[1]});
  s.append(trunk, tokens(8));
  s.append(kids[2], tokens(1));
  return s;
}

/// Logits of all tokens, in the order of the script.
std::vector<std::vector<float>> logits_of(CausalLm& model, const TreeScript& script, Schedule schedule) {
  const TreeReplay replay(script, schedule, {std::ref(model)}, {.n_pages = 512, .page_size = 4});
  std::vector<std::vector<float>> all;
  for (std::size_t i = 0; i < replay.tokens().size(); ++i) all.push_back(replay.logits(0, i));
  return all;
}

/// Tokens whose logits are not the same, bit for bit.
std::size_t n_different(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  REQUIRE(a.size() == b.size());
  std::size_t n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) n += a[i] == b[i] ? 0 : 1;
  return n;
}

}  // namespace

TEST_CASE("each architecture equals the oracle on branch trees, in all position policies and attention paths") {
  for (const Shape& shape : ab::test::all_shapes()) {
    INFO(name_of(shape));
    Runners runners(shape);
    runners.check(given_script());
    for (unsigned seed = 1; seed <= 2; ++seed) {
      INFO("seed " << seed);
      runners.check(random_script(seed).script());
    }
  }
}

TEST_CASE("a window narrower than a branch tree changes its logits, and one that nothing leaves changes none") {
  for (Shape shape : {ab::test::mistral_shape(), ab::test::gemma2_shape()}) {
    const auto logits = [&](std::int32_t window) {
      shape.windows.assign(shape.windows.size(), window);
      const ab::test::TinyFolder folder(ab::eigen::random_weights(shape, 17));
      CausalLm model = CausalLm::load(folder.path(), {.weights = Weights::float32});
      return logits_of(model, given_script(), Schedule::together);
    };
    const auto narrow = logits(4), wide = logits(200), none = logits(shape.max_positions);
    CHECK(n_different(narrow, wide) > 10);
    REQUIRE(wide.size() == none.size());
    double worst = 0;
    for (std::size_t i = 0; i < wide.size(); ++i)
      for (std::size_t t = 0; t < wide[i].size(); ++t)
        worst = std::max(worst, static_cast<double>(std::abs(wide[i][t] - none[i][t])));
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("int8: in each architecture a row has the same bits among others and alone, and is near the oracle") {
  const std::vector<Positions> policies{Positions::sequential, Positions::longest, Positions::reserved(32)};
  std::size_t next = 0;
  for (const Shape& shape : ab::test::all_shapes()) {
    INFO(name_of(shape));
    const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 17);
    const ab::test::TinyFolder folder(weights);
    CausalLm model = CausalLm::load(folder.path(), {.weights = Weights::int8});
    CausalLm other = model.with_own_slots();
    const TreeScript grown = grown_script(policies[next++ % policies.size()]);
    CHECK(n_different(logits_of(model, grown, Schedule::together), logits_of(other, grown, Schedule::alone)) == 0);
    const TreeReplay given(given_script(), Schedule::together, {std::ref(model)}, {.n_pages = 512, .page_size = 4});
    const ab::eigen::Matrix expected = oracle_logits(ab::eigen::Oracle{weights}, given.tokens());
    double squares = 0, of_all = 0;
    for (std::size_t i = 0; i < given.tokens().size(); ++i)
      for (std::size_t t = 0; t < given.logits(0, i).size(); ++t) {
        const double want = expected(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(t));
        squares += (given.logits(0, i)[t] - want) * (given.logits(0, i)[t] - want);
        of_all += want * want;
      }
    CHECK(std::sqrt(squares / of_all) < 0.1);
  }
}

TEST_CASE("a prompt's rows of an architecture are the same by chunks of any size") {
  for (const Shape& shape : {ab::test::gemma2_shape(), ab::test::gemma3_shape(), ab::test::phi3_shape()}) {
    INFO(name_of(shape));
    const ab::test::TinyFolder folder(ab::eigen::random_weights(shape, 17));
    CausalLm model = CausalLm::load(folder.path(), {.weights = Weights::int8});
    CausalLm other = model.with_own_slots();
    TreeScript whole, chunks;
    const int a = whole.create(), b = chunks.create();
    for (int i = 0; i < 60; ++i) {
      whole.append(a, {(i * 7) % 64});
      chunks.append(b, {(i * 7) % 64});
      if (i % 7 == 3) chunks.pass();
    }
    CHECK(n_different(logits_of(model, whole, Schedule::together), logits_of(other, chunks, Schedule::together)) == 0);
  }
}

TEST_CASE("kept weights of each architecture have the bits of a fresh load, and their size is known") {
  for (const Shape& shape : ab::test::all_shapes()) {
    INFO(name_of(shape));
    ab::test::LoadScript script(ab::eigen::random_weights(shape, 17));
    const std::string fresh = script.run_fresh();
    CHECK(script.load_and_run() == fresh);
    CHECK(script.passed("packs"));
    CHECK(script.load_and_run() == fresh);
    CHECK(script.passed("maps"));
    CHECK_FALSE(script.passed("packs"));
  }
}

TEST_CASE("the estimate of Gemma's memory counts the norms behind attention and feed-forward") {
  const Shape shape = ab::test::gemma3_shape();
  ab::test::LoadScript script(ab::eigen::random_weights(shape, 17));
  for (const Weights weights : {Weights::int8, Weights::float32}) {
    script.options.weights = weights;
    const CausalLm model = script.load();
    const std::int64_t norms = shape.hidden * (4 * shape.layers + 1) + 2 * shape.head_size * shape.layers;
    const std::int64_t table = weights == Weights::float32 ? 4 * std::int64_t{shape.vocabulary} * shape.hidden : 0;
    CHECK(CausalLm::estimate(script.folder().path(), script.options).weights ==
          model.weight_bytes() + table + 4 * norms);
  }
}

TEST_CASE("positions of the load are those that plans may have, and no more than the model's") {
  const ab::test::TinyFolder folder(ab::eigen::random_weights(ab::test::mistral_shape(), 17));
  CausalLm model = CausalLm::load(folder.path(), {.weights = Weights::float32, .max_positions = 3});
  CHECK(model.config().max_positions == 3);
  ab::test::HandPlan plan = ab::test::serial_plan({3, 1, 4, 1}, 0, 16);
  CHECK(ab::test::text_of([&] { model(plan.plan()); }) ==
        "position 3 of row 3 is outside [0, 3), the model's positions");
  CHECK(ab::test::text_of([&] { CausalLm::load(folder.path(), {.max_positions = 5000}); }) ==
        "max_positions is 5000, must be 1 to 4096, the model's positions");
}
