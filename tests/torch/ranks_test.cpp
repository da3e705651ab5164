// Tiny models of every architecture on several ranks, which are threads: the logits of one process, bit for bit with
// int8; and what is refused.
#include "catch.hpp"
#include "torch/ranks_replay.hpp"
#include "torch/tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace ab = anabranch;
using ab::Status;
using ab::eigen::Shape;
using ab::test::outcomes_of_ranks;
using ab::test::Schedule;
using ab::test::TinyFolder;
using ab::test::TreeReplay;
using ab::test::TreeScript;
using ab::test::with_ranks;
using ab::torch::CausalLm;
using ab::torch::LoadOptions;
using ab::torch::Weights;

namespace {

const ab::CacheOptions kCache{.n_pages = 512, .page_size = 4};

TreeScript random_tree(unsigned seed) { return ab::test::random_tree(seed, 16, 64); }

/// With as many KV heads as are divided unequally among two.
Shape with_three_heads(Shape shape) {
  shape.kv_heads = 3;
  shape.query_heads = 6;
  shape.hidden = 48;  // which some configurations want to be a multiple of the heads
  return shape;
}

/// The largest difference of the logits on `n` ranks from those of one; infinity where some are missing.
double difference_on_ranks(std::int32_t n, const TinyFolder& folder, const LoadOptions& options,
                           const TreeScript& script) {
  CausalLm alone = CausalLm::load(folder.path(), options);
  const TreeReplay expected(script, Schedule::together, {std::ref(alone)}, kCache);
  double worst = 0;
  with_ranks(n, folder.path(), options, [&](CausalLm& model) {
    const TreeReplay got(script, Schedule::together, {std::ref(model)}, kCache);
    for (std::size_t i = 0; i < expected.tokens().size(); ++i) {
      const std::vector<float>&a = got.logits(0, i), &b = expected.logits(0, i);
      if (a.size() != b.size()) worst = INFINITY;
      for (std::size_t t = 0; t < std::min(a.size(), b.size()); ++t)
        worst = std::max(worst, static_cast<double>(std::abs(a[t] - b[t])));
    }
  });
  return worst;
}

}  // namespace

TEST_CASE("on two and three ranks every architecture has the logits of one process") {
  unsigned seed = 70;
  for (const Shape& family : ab::test::all_shapes()) {
    const Shape shape = with_three_heads(family);
    const TinyFolder folder(ab::eigen::random_weights(shape, 17));
    const TreeScript script = random_tree(++seed);
    for (const std::int32_t n : {2, 3}) {
      INFO(ab::eigen::impl::family_of(shape).class_name << " on " << n << " ranks, seed " << seed);
      CHECK(difference_on_ranks(n, folder, {.weights = Weights::float32}, script) < 2e-5);
      CHECK(difference_on_ranks(n, folder, {.weights = Weights::int8, .weight_cache = {.enabled = false}}, script) ==
            0);
    }
  }
}

TEST_CASE("on two ranks bfloat16 weights differ by their rounding, and each attention path runs") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::qwen2_shape(), 17));
  const TreeScript script = random_tree(90);
  CHECK(difference_on_ranks(2, folder, {.weights = Weights::bfloat16}, script) < 0.05);
  for (const auto path : {ab::torch::AttentionPath::groups, ab::torch::AttentionPath::dense})
    CHECK(difference_on_ranks(2, folder, {.weights = Weights::float32, .attention = path}, script) < 2e-5);
}

TEST_CASE("runners over one model on ranks have K and V of their own") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 17));
  const TreeScript script = random_tree(91), other = random_tree(92);
  CausalLm alone = CausalLm::load(folder.path(), {.weights = Weights::float32});
  const TreeReplay expected(script, Schedule::together, {std::ref(alone)}, kCache);
  with_ranks(2, folder.path(), {.weights = Weights::float32}, [&](CausalLm& model) {
    CausalLm second = model.with_own_slots();
    const TreeReplay first(script, Schedule::together, {std::ref(model), std::ref(second)}, kCache);
    {
      CausalLm third = model.with_own_slots();
      const TreeReplay gone(other, Schedule::together, {std::ref(third)}, kCache);
    }
    for (std::size_t i = 0; i < expected.tokens().size(); ++i)
      if (first.logits(0, i) != first.logits(1, i)) ab::fail(Status::internal, "token ", i, " differs");
  });
}

TEST_CASE("ranks that do not fit together are refused on all of them") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 17));
  const TinyFolder other(ab::eigen::random_weights(ab::test::llama_shape(), 18));
  const auto refusal = [&](auto&& load) {
    std::string text;
    for (const ab::Error& outcome : outcomes_of_ranks(2, load)) {
      CHECK(outcome.status() == Status::bad_argument);
      text += std::string(outcome.what()) + "\n";
    }
    return text;
  };
  const auto text = refusal([&](ab::Collective& ranks) {
    CausalLm::load((ranks.rank() == 0 ? folder : other).path(), {.weights = Weights::float32, .ranks = &ranks});
  });
  CHECK(text.find("rank 1 has another model than rank 0") != std::string::npos);
  CHECK(refusal([&](ab::Collective& ranks) {
          CausalLm::load(folder.path(),
                         {.weights = ranks.rank() == 0 ? Weights::float32 : Weights::int8, .ranks = &ranks});
        }).find("type of weights") != std::string::npos);
  CHECK(refusal([&](ab::Collective& ranks) {
          LoadOptions options{.weights = Weights::float32, .ranks = &ranks};
          if (ranks.rank() == 1) options.max_positions = 100;
          CausalLm::load(folder.path(), options);
        }).find("number of positions") != std::string::npos);
  Shape one_head = ab::test::llama_shape();
  one_head.kv_heads = 1;
  const TinyFolder small(ab::eigen::random_weights(one_head, 17));
  CHECK(refusal([&](ab::Collective& ranks) {
          CausalLm::load(small.path(), {.weights = Weights::float32, .ranks = &ranks});
        }).find("2 ranks for a model of 1 KV heads") != std::string::npos);
}

TEST_CASE("only rank 0 runs plans, only the others follow, and K and V on ranks are no bytes of one file") {
  const TinyFolder folder(ab::eigen::random_weights(ab::test::llama_shape(), 17));
  CausalLm alone = CausalLm::load(folder.path(), {.weights = Weights::float32});
  CHECK_THROWS_AS(alone.follow(), ab::Error);
  with_ranks(2, folder.path(), {.weights = Weights::float32}, [&](CausalLm& model) {
    const std::function<void()> calls[] = {[&] { model.follow(); }, [&] { model.kv_bytes("x"); }};
    for (const auto& call : calls) {
      try {
        call();
      } catch (const ab::Error& error) {
        if (error.status() == Status::wrong_state || error.status() == Status::unsupported) continue;
        throw;
      }
      ab::fail(Status::internal, "a call went through");
    }
  });
}
