// Windows, capped scores and query scales of the oracle: by hand, and dense beside the host of step plans.
#include "catch.hpp"
#include "oracle/hand_plan.hpp"
#include "torch/random_script.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/eigen/plan_model.hpp>

namespace {

namespace ab = anabranch;
using ab::eigen::Mask;
using ab::eigen::Matrix;
using ab::eigen::Shape;
using ab::eigen::Vector;
using ab::test::text_of;

Shape gemma_shape() {
  Shape s;
  s.layers = 3;
  s.query_scale = 0.2;
  s.softcap = 1.5;
  s.windows = {5, 0};  // layers 0 and 2 have a window
  s.window_rope_theta = 50;
  s.rotary_share = 0.5;
  s.post_norms = s.qk_norm = true;
  s.norm_offset = 1;
  s.embedding_scale = 5;
  s.logit_softcap = 2;
  s.activation = ab::eigen::Activation::gelu_tanh;
  return s;
}

/// One token's attention over three keys whose scores are 0, 1 and 2 times the scale.
Vector attend(const Shape& shape) {
  const std::vector<Vector> keys = {Vector::Zero(2), Vector::Unit(2, 0), 2 * Vector::Unit(2, 0)};
  const std::vector<Vector> values = {Vector::Zero(2), Vector::Unit(2, 0), Vector::Unit(2, 1)};
  const auto key = [&](Eigen::Index j) -> const Vector& { return keys[static_cast<std::size_t>(j)]; };
  const auto value = [&](Eigen::Index j) -> const Vector& { return values[static_cast<std::size_t>(j)]; };
  return ab::eigen::impl::attend(Vector::Unit(2, 0), 3, shape, key, value);
}

}  // namespace

TEST_CASE("scale and cap do to the scores what they say") {
  Shape shape;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_size = 2;
  const auto expect = [&](double one, double two) {
    const double sum = 1 + std::exp(one) + std::exp(two);
    const Vector got = attend(shape);
    CHECK(got[0] == Approx(std::exp(one) / sum));
    CHECK(got[1] == Approx(std::exp(two) / sum));
  };
  expect(1 / std::sqrt(2.0), 2 / std::sqrt(2.0));
  shape.query_scale = 3;
  expect(3, 6);
  shape.softcap = 4;
  expect(4 * std::tanh(0.75), 4 * std::tanh(1.5));
}

TEST_CASE("the gate, the norms and the caps do what they say") {
  CHECK(ab::eigen::impl::activate(1.0, ab::eigen::Activation::silu) == Approx(1 / (1 + std::exp(-1.0))));
  CHECK(ab::eigen::impl::activate(1.0, ab::eigen::Activation::gelu_tanh) == Approx(0.841191990608));
  CHECK(ab::eigen::impl::activate(-1.0, ab::eigen::Activation::gelu_tanh) == Approx(0.841191990608 - 1));
  Shape shape = gemma_shape();
  const Vector weight = Vector::Constant(4, -0.5);
  CHECK(ab::eigen::impl::norm(Vector::Constant(4, 3.0), weight, shape)[2] == Approx(0.5));
  Vector heads = Vector::Ones(shape.head_size);
  ab::eigen::impl::finish_heads(heads, shape, {}, {1, 1e12});  // of the first half only one pair turns by much
  CHECK(heads[0] == Approx(std::cos(1.0) - std::sin(1.0)));
  CHECK(heads[2] == Approx(std::cos(1.0) + std::sin(1.0)));
  CHECK(heads[4] == 1.0);
  CHECK(heads[6] == 1.0);
}

TEST_CASE("layers that do not turn leave heads as they are, and scales and divisors do what they say") {
  Shape shape;
  shape.layers = 4;
  shape.turn_interval = 2;
  CHECK(ab::eigen::impl::turn_of(shape, 2, 7).theta == shape.rope_theta);
  const ab::eigen::impl::Turn none = ab::eigen::impl::turn_of(shape, 3, 7);
  Vector heads = Vector::LinSpaced(shape.head_size, 1, 2);
  const Vector before = heads;
  ab::eigen::impl::finish_heads(heads, shape, {}, none);
  CHECK(heads == before);
  const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 5);
  ab::eigen::Weights changed = weights;
  const Vector row = Vector::LinSpaced(shape.hidden, -1, 1);
  changed.shape.logit_divisor = 4;
  CHECK((4 * ab::eigen::impl::logits(row, changed) - ab::eigen::impl::logits(row, weights)).cwiseAbs().maxCoeff() <
        1e-12);
  changed.layers[0].down.setZero();  // what attention adds is left
  Vector half = row, all = row;
  const Vector attended = Vector::LinSpaced(shape.query_heads * shape.head_size, 2, 3);
  ab::eigen::impl::finish_layer(all, attended, changed.layers[0], changed.shape);
  changed.shape.residual_scale = 0.5;
  ab::eigen::impl::finish_layer(half, attended, changed.layers[0], changed.shape);
  CHECK((2 * (half - row) - (all - row)).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("a model whose layers all have one window equals the mask narrowed by hand") {
  Shape shape;
  shape.windows = {3};
  const std::vector<ab::TokenId> tokens = {3, 1, 4, 1, 5, 9, 2};
  const std::vector<ab::Position> positions = {0, 1, 2, 3, 2, 3, 5};  // tokens 4 and 5 are a branch behind token 1
  Mask mask = ab::eigen::causal_mask(7);
  mask.block(4, 2, 2, 2).setConstant(false);
  const ab::eigen::Weights weights = ab::eigen::random_weights(shape, 5);
  const Matrix got = ab::eigen::Oracle{weights}.logits(tokens, positions, mask);
  mask(3, 0) = mask(5, 0) = false;            // position 3 sees above 0
  mask.block(6, 0, 1, 3).setConstant(false);  // position 5 sees above 2: tokens 3 and 5, and itself
  mask(6, 4) = false;
  ab::eigen::Weights plain = weights;
  plain.shape.windows.clear();
  CHECK((ab::eigen::Oracle{plain}.logits(tokens, positions, mask) - got).cwiseAbs().maxCoeff() == 0);
}

TEST_CASE("through a cache of slots windows, caps and scales equal the dense run on random trees") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(gemma_shape(), 77);
  const ab::eigen::Oracle oracle{weights};
  for (unsigned seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    ab::test::RandomScript random(
        seed, 2, 40,
        {.mix = {.append = 8, .fork = 4, .join = 4, .rewind = 2, .adopt = 1, .drop = 1},
         .max_sequences = 16,
         .policies = {ab::Positions::sequential, ab::Positions::longest, ab::Positions::reserved(32)},
         .take_back = ab::test::TakeBack::settled},
        64);
    ab::eigen::PlanModel model{weights};
    ab::test::TreeReplay replay(random.script(), ab::test::Schedule::together, {std::ref(model)},
                                {.n_pages = 512, .page_size = 4});
    const Matrix expected = oracle_logits(oracle, replay.tokens());
    double worst = 0;
    for (std::size_t i = 0; i < replay.tokens().size(); ++i) {
      const std::vector<float>& got = replay.logits(0, i);
      for (std::size_t t = 0; t < got.size(); ++t)
        worst = std::max(worst, std::abs(static_cast<double>(got[t]) -
                                         expected(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(t))));
    }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("shapes with an impossible window, cap or scale are refused") {
  Shape shape;
  shape.windows = {4, -1};
  CHECK(text_of([&] { ab::eigen::check_shape(shape); }) == "a window is -1, must be 0 (none) or more");
  shape.windows = {};
  shape.softcap = -1;
  CHECK(text_of([&] { ab::eigen::check_shape(shape); }).starts_with("softcap is -1"));
  shape.softcap = 0;
  shape.query_scale = NAN;
  CHECK(text_of([&] { ab::eigen::check_shape(shape); }).starts_with("query_scale is "));
  shape.query_scale = 0;
  shape.logit_softcap = -2;
  CHECK(text_of([&] { ab::eigen::check_shape(shape); }).starts_with("logit_softcap is -2"));
  shape.logit_softcap = 0;
  shape.rotary_share = 1.5;
  CHECK(text_of([&] { ab::eigen::check_shape(shape); }).starts_with("rotary_share is 1.5"));
}
