// The tiny transformer as a host of step plans: run through a cache of slots it must equal the dense oracle.
#include "catch.hpp"
#include "oracle/hand_plan.hpp"

#include <cmath>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/eigen/plan_model.hpp>

namespace {

namespace ab = anabranch;
using ab::Visibility;
using ab::eigen::Mask;
using ab::eigen::Matrix;
using ab::eigen::Shape;
using ab::test::HandPlan;
using ab::test::serial_plan;
using ab::test::status_of;
using ab::test::text_of;

static_assert(ab::Model<ab::eigen::PlanModel>);

double difference(ab::LogitsView got, std::int32_t output, const Matrix& expected, Eigen::Index row) {
  double largest = 0.0;
  for (std::int32_t t = 0; t < got.vocabulary; ++t)
    largest = std::max(largest, std::abs(got.row(output)[static_cast<std::size_t>(t)] - expected(row, t)));
  return largest;
}

}  // namespace

TEST_CASE("a serial sequence fed in chunks equals the dense run") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(Shape{}, 21);
  ab::eigen::PlanModel model{weights};
  const std::vector<ab::TokenId> tokens = {3, 1, 4, 1, 5, 9};
  const Matrix expected = ab::eigen::Oracle{weights}.logits(tokens);
  CHECK(difference(model(serial_plan({3, 1, 4}, 0, 16).plan()), 0, expected, 2) < 1e-5);
  CHECK(difference(model(serial_plan({1}, 3, 16).plan()), 0, expected, 3) < 1e-5);
  CHECK(difference(model(serial_plan({5, 9}, 4, 16).plan()), 0, expected, 5) < 1e-5);
  CHECK(model.n_passes() == 3);
  CHECK(model.n_rows() == 6);
  CHECK(model.content(4).token == 5);
  CHECK(model.content(4).position == 4);
  CHECK(model.content(6).token == ab::kNone);
}

TEST_CASE("a fork, ragged branches and a join in scattered slots equal the dense run") {
  const ab::eigen::Weights weights = ab::eigen::random_weights(Shape{}, 22);
  ab::eigen::PlanModel model{weights};
  model(serial_plan({3, 1, 4}, 0, 32).plan());

  // One pass: the fork token, branch a of two tokens in slots 20 and 21, branch b of three in 9, 8 (two runs) and 30.
  HandPlan fork(32);
  fork.row(5, 3, 3).row(9, 4, 20).row(2, 5, 21).row(6, 4, 9).row(5, 5, 8).row(3, 6, 30);
  fork.group(0, 6, {{0, 3}}, Visibility::full);
  fork.group(0, 1, {{3, 1}}, Visibility::causal).group(1, 6, {{3, 1}}, Visibility::full);
  fork.group(1, 3, {{20, 2}}, Visibility::causal).group(3, 6, {{9, 1}, {8, 1}, {30, 1}}, Visibility::causal);
  fork.output(0).output(2).output(5).output(5);
  const ab::LogitsView branches = model(fork.plan());
  REQUIRE(branches.n_outputs == 4);

  const std::vector<ab::TokenId> tokens = {3, 1, 4, 5, 9, 2, 6, 5, 3, 8};
  const std::vector<ab::Position> positions = {0, 1, 2, 3, 4, 5, 4, 5, 6, 9};
  Mask mask = ab::eigen::causal_mask(10);
  mask.block(6, 4, 3, 2).setConstant(false);
  const Matrix expected = ab::eigen::Oracle{weights}.logits(tokens, positions, mask);
  CHECK(difference(branches, 0, expected, 3) < 1e-5);
  CHECK(difference(branches, 1, expected, 5) < 1e-5);
  CHECK(difference(branches, 2, expected, 8) < 1e-5);
  CHECK(difference(branches, 3, expected, 8) < 1e-5);

  HandPlan join(32);  // joined in the other order: attention is a set operation
  join.row(8, 9, 4).group(0, 1, {{0, 4}, {9, 1}, {8, 1}, {30, 1}, {20, 2}, {4, 1}}, Visibility::causal).output(0);
  CHECK(difference(model(join.plan()), 0, expected, 9) < 1e-5);
}

TEST_CASE("a plan without outputs gives no logits") {
  ab::eigen::PlanModel model{ab::eigen::random_weights(Shape{}, 1)};
  HandPlan plan(4);
  plan.row(1, 0, 0).group(0, 1, {{0, 1}}, Visibility::causal);
  CHECK(model(plan.plan()).n_outputs == 0);
  CHECK(model(HandPlan(4).plan()).n_outputs == 0);
}

TEST_CASE("a plan that shows a row the wrong slots is refused") {
  ab::eigen::PlanModel model{ab::eigen::random_weights(Shape{}, 1)};
  model(serial_plan({1, 2}, 0, 8).plan());
  const auto text = [&model](const std::vector<ab::SlotRun>& runs) {
    HandPlan plan(8);
    plan.row(3, 2, 2).group(0, 1, runs, Visibility::causal);
    return text_of([&] { model(plan.plan()); });
  };
  CHECK(text({{0, 3}}).empty());
  CHECK(text({{0, 2}, {5, 1}, {2, 1}}) == "slot 5 was never written but is visible to row 0");
  CHECK(text({{0, 2}, {1, 2}}) == "slot 1 is visible twice to row 0");
  CHECK(text({{0, 2}}) == "slot 2 is hidden from its own row 0");
  CHECK(text({{0, 3}, {8, 1}}) == "slot 8 is outside the pool but visible to row 0");
}

TEST_CASE("a refused row leaves the slots as they were") {
  ab::eigen::PlanModel model{ab::eigen::random_weights(Shape{}, 1)};
  model(serial_plan({1, 2}, 0, 8).plan());
  CHECK(status_of([&] { model(serial_plan({64}, 1, 8).plan()); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model(serial_plan({ab::kUnknownToken}, 1, 8).plan()); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model(HandPlan(8).row(1, 4096, 1).plan()); }) == ab::Status::out_of_range);
  CHECK(status_of([&] { model(HandPlan(8).row(1, 1, 8).plan()); }) == ab::Status::bad_argument);
  CHECK(status_of([&] { model(serial_plan({1}, 1, 8).output(1).plan()); }) == ab::Status::bad_argument);
  CHECK(model.content(1).token == 2);
}
