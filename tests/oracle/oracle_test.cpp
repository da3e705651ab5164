// The oracle itself, against numbers worked out by hand and against laws that hold for any weights.
#include "catch.hpp"
#include "oracle/hand_plan.hpp"

#include <cmath>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/eigen/tensors.hpp>

namespace {

namespace ab = anabranch;
using ab::eigen::Mask;
using ab::eigen::Matrix;
using ab::eigen::Shape;
using ab::eigen::Vector;
using ab::test::status_of;
using ab::test::text_of;

/// Two tokens, one layer, two hidden elements that are one head: small enough for paper.
ab::eigen::Weights hand_made() {
  Shape s;
  s.vocabulary = 2;
  s.hidden = 2;
  s.layers = 1;
  s.query_heads = 1;
  s.kv_heads = 1;
  s.head_size = 2;
  s.ffn = 1;
  s.norm_epsilon = 0.0;
  s.tied_head = true;
  ab::eigen::Weights w = ab::eigen::random_weights(s, 1);
  const Matrix identity = Matrix::Identity(2, 2);
  w.embedding = identity;
  w.final_norm = Vector::Ones(2);
  ab::eigen::LayerWeights& layer = w.layers[0];
  layer.input_norm = layer.ffn_norm = Vector::Ones(2);
  layer.query = layer.key = layer.value = layer.out = identity;
  layer.gate = layer.up = Matrix::Zero(1, 2);
  layer.gate(0, 0) = layer.up(0, 1) = 1.0;
  layer.down = Matrix::Zero(2, 1);
  layer.down(0, 0) = 1.0;
  return w;
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

Shape with(bool bias, bool norm, bool tied) {
  Shape s;
  s.qkv_bias = bias;
  s.qk_norm = norm;
  s.tied_head = tied;
  return s;
}

double largest_difference(const Matrix& a, const Matrix& b) { return (a - b).cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("two tokens through one layer are what paper says") {
  const ab::eigen::Oracle oracle{hand_made()};
  const std::vector<ab::TokenId> tokens = {0, 1};
  const Matrix got = oracle.logits(tokens);

  // RMSNorm of (1, 0) is (r, 0) and of (0, 1) is (0, r), with r = sqrt 2. Token 0 sees itself alone: attention gives
  // (r, 0).
  const double r = std::sqrt(2.0);
  const auto finish = [](double x, double y) {
    const double n = std::sqrt((x * x + y * y) / 2.0);
    const double x2 = x + silu(x / n) * (y / n);
    const double m = std::sqrt((x2 * x2 + y * y) / 2.0);
    return std::pair<double, double>{x2 / m, y / m};
  };
  const auto first = finish(1.0 + r, 0.0);
  CHECK(got(0, 0) == Approx(first.first));
  CHECK(got(0, 1) == Approx(first.second).margin(1e-12));

  // Token 1 at position 1: q and k (0, r) turned by one radian are (-r sin 1, r cos 1); k of token 0 is (r, 0).
  const double other = -r * std::sin(1.0) * r / std::sqrt(2.0);
  const double own = r * r / std::sqrt(2.0);
  const double share = std::exp(other) / (std::exp(other) + std::exp(own));
  const auto second = finish(share * r, 1.0 + (1.0 - share) * r);
  CHECK(got(1, 0) == Approx(second.first));
  CHECK(got(1, 1) == Approx(second.second));
}

TEST_CASE("RoPE pairs element i with element i + half and keeps lengths") {
  Vector x(4);
  x << 1.0, 2.0, 3.0, 4.0;
  Vector turned = x;
  ab::eigen::impl::rotate(turned, 7, 100.0);
  CHECK(turned[0] == Approx(std::cos(7.0) * 1.0 - std::sin(7.0) * 3.0));
  CHECK(turned[2] == Approx(std::cos(7.0) * 3.0 + std::sin(7.0) * 1.0));
  CHECK(turned[1] == Approx(std::cos(0.7) * 2.0 - std::sin(0.7) * 4.0));
  CHECK(turned[3] == Approx(std::cos(0.7) * 4.0 + std::sin(0.7) * 2.0));
  CHECK(turned.norm() == Approx(x.norm()));
}

TEST_CASE("only differences of positions matter") {
  for (const Shape& shape : {with(false, false, false), with(true, false, true), with(false, true, false)}) {
    const ab::eigen::Oracle oracle{ab::eigen::random_weights(shape, 11)};
    const std::vector<ab::TokenId> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
    const std::vector<ab::Position> here = {0, 1, 2, 3, 2, 3, 4, 9};
    std::vector<ab::Position> there = here;
    for (ab::Position& p : there) p += 1234;
    const Mask mask = ab::eigen::causal_mask(8);
    CHECK(largest_difference(oracle.logits(tokens, here, mask), oracle.logits(tokens, there, mask)) < 1e-9);
    std::vector<ab::Position> other = here;
    other[7] = 10;
    CHECK(largest_difference(oracle.logits(tokens, here, mask), oracle.logits(tokens, other, mask)) > 1e-3);
  }
}

TEST_CASE("the order of tokens has no meaning beyond mask and positions") {
  const ab::eigen::Oracle oracle{ab::eigen::random_weights(Shape{}, 12)};
  const std::vector<ab::TokenId> tokens = {7, 8, 9, 10};
  const std::vector<ab::TokenId> backwards = {10, 9, 8, 7};
  const std::vector<ab::Position> positions = {3, 2, 1, 0};
  const Mask anticausal = ab::eigen::causal_mask(4).transpose();
  const Matrix forward = oracle.logits(tokens);
  const Matrix reversed = oracle.logits(backwards, positions, anticausal);
  CHECK(largest_difference(forward, reversed.colwise().reverse()) < 1e-12);
}

TEST_CASE("what a mask hides has no influence, what it shows has") {
  const ab::eigen::Oracle oracle{ab::eigen::random_weights(Shape{}, 13)};
  Mask siblings = ab::eigen::causal_mask(5);  // 0 is the trunk, {1, 2} and {3, 4} are branches
  siblings.block(3, 1, 2, 2).setConstant(false);
  const std::vector<ab::Position> positions = {0, 1, 2, 1, 2};
  const Matrix both = oracle.logits(std::vector<ab::TokenId>{5, 6, 7, 8, 9}, positions, siblings);
  const Matrix changed = oracle.logits(std::vector<ab::TokenId>{5, 20, 21, 8, 9}, positions, siblings);
  CHECK(largest_difference(both.bottomRows(2), changed.bottomRows(2)) < 1e-12);
  const Matrix alone = oracle.logits(std::vector<ab::TokenId>{5, 8, 9});
  CHECK(largest_difference(both.bottomRows(2), alone.bottomRows(2)) < 1e-12);
  const Matrix seen = oracle.logits(std::vector<ab::TokenId>{5, 6, 7, 8, 9}, positions, ab::eigen::causal_mask(5));
  CHECK(largest_difference(both.bottomRows(2), seen.bottomRows(2)) > 1e-3);
}

TEST_CASE("random weights are the same for the same seed and exact in float32") {
  const ab::eigen::Weights a = ab::eigen::random_weights(Shape{}, 5);
  const ab::eigen::Weights b = ab::eigen::random_weights(Shape{}, 5);
  CHECK(a.layers[1].down == b.layers[1].down);
  CHECK(a.embedding != ab::eigen::random_weights(Shape{}, 6).embedding);
  CHECK(a.head.cast<float>().cast<double>() == a.head);
}

TEST_CASE("tensors carry the names and shapes of Hugging Face checkpoints") {
  const auto count = [](const Shape& s) { return ab::eigen::named_tensors(ab::eigen::random_weights(s, 1)).size(); };
  CHECK(count(with(false, false, true)) == 2 + 2 * 9);
  CHECK(count(with(false, false, false)) == 3 + 2 * 9);
  CHECK(count(with(true, false, true)) == 2 + 2 * 12);
  CHECK(count(with(false, true, true)) == 2 + 2 * 11);
  for (const auto& tensor : ab::eigen::named_tensors(ab::eigen::random_weights(Shape{}, 1)))
    if (tensor.name == "model.layers.1.mlp.down_proj.weight")
      CHECK(tensor.shape == std::vector<std::int64_t>{Shape{}.hidden, Shape{}.ffn});
}

TEST_CASE("the oracle refuses what makes no sense and names it") {
  const ab::eigen::Oracle oracle{ab::eigen::random_weights(Shape{}, 1)};
  const Mask mask = ab::eigen::causal_mask(2);
  const std::vector<ab::Position> positions = {0, 1};
  using Tokens = std::vector<ab::TokenId>;
  CHECK(status_of([&] { oracle.logits(Tokens{1, 64}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { oracle.logits(Tokens{-1}); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { oracle.logits(Tokens{1}, positions, mask); }) == ab::Status::bad_argument);
  CHECK(status_of([&] {
          oracle.logits(Tokens{1, 2}, positions, ab::eigen::causal_mask(3));
        }) == ab::Status::bad_argument);
  CHECK(status_of([&] {
          oracle.logits(Tokens{1, 2}, positions, Mask::Constant(2, 2, false));
        }) == ab::Status::bad_argument);
  CHECK(status_of([&] {
          oracle.logits(Tokens{1, 2}, std::vector<ab::Position>{0, 4096}, mask);
        }) == ab::Status::out_of_range);
  Shape odd;
  odd.head_size = 7;
  CHECK(status_of([&] { ab::eigen::random_weights(odd, 1); }) == ab::Status::bad_argument);
  Shape uneven;
  uneven.kv_heads = 3;
  CHECK(status_of([&] { ab::eigen::random_weights(uneven, 1); }) == ab::Status::bad_argument);
  CHECK(text_of([&] { oracle.logits(Tokens{1, 64}); }) == "token 64 of row 1 is outside the vocabulary of 64");
}
