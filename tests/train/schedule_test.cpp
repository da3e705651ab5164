// The order of samples and the learning rate.
#include <anabranch/train/schedule.hpp>

#include <algorithm>
#include <numeric>

#include <anabranch/error.hpp>

#include "catch.hpp"

namespace ab = anabranch;
using ab::train::learning_rate;
using ab::train::plan_steps;
using ab::train::StepRows;

namespace {

const std::vector<std::int32_t> kLengths{5, 9, 3, 12, 7, 1, 30, 4, 4, 8};

std::vector<std::size_t> rows_of_epoch(const std::vector<StepRows>& steps, std::int32_t epoch) {
  std::vector<std::size_t> rows;
  for (const StepRows& step : steps)
    for (const auto& pass : step.passes)
      if (step.epoch == epoch) rows.insert(rows.end(), pass.begin(), pass.end());
  return rows;
}

std::int64_t tokens(const std::vector<std::size_t>& rows) {
  return std::accumulate(rows.begin(), rows.end(), std::int64_t{0},
                         [](std::int64_t sum, std::size_t row) { return sum + kLengths[row]; });
}

}  // namespace

TEST_CASE("every epoch holds every row once, in another order, within the limits of steps and passes") {
  const auto steps = plan_steps(kLengths, {.epochs = 2, .tokens_per_step = 20, .tokens_per_pass = 12, .seed = 3});
  std::vector<std::size_t> first = rows_of_epoch(steps, 0), second = rows_of_epoch(steps, 1);
  CHECK(first != second);
  for (std::vector<std::size_t>* rows : {&first, &second}) {
    std::sort(rows->begin(), rows->end());
    CHECK(*rows == std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
  for (const StepRows& step : steps) {
    std::int64_t sum = 0;
    for (const auto& pass : step.passes) {
      CHECK((tokens(pass) <= 12 || pass.size() == 1));
      sum += tokens(pass);
    }
    CHECK((sum <= 20 || (step.passes.size() == 1 && step.passes[0].size() == 1)));
  }
}

TEST_CASE("the order depends on the seed alone") {
  const auto order = [](std::uint64_t seed) {
    return rows_of_epoch(plan_steps(kLengths, {.epochs = 1, .seed = seed}), 0);
  };
  CHECK(order(1) == order(1));
  CHECK(order(1) != order(2));
}

TEST_CASE("impossible schedules are refused") {
  CHECK_THROWS_AS(plan_steps({}, {}), ab::Error);
  CHECK_THROWS_AS(plan_steps(kLengths, {.epochs = 0}), ab::Error);
  CHECK_THROWS_AS(plan_steps(kLengths, {.tokens_per_step = 0}), ab::Error);
  CHECK_THROWS_AS(plan_steps(kLengths, {.tokens_per_pass = 0}), ab::Error);
}

TEST_CASE("the learning rate rises in a line and falls along half a cosine") {
  const ab::train::RateOptions options{.peak = 2.0, .warmup = 0.1, .floor = 0.0};
  CHECK(learning_rate(0, 100, options) == Approx(0.2));
  CHECK(learning_rate(9, 100, options) == Approx(2.0));
  CHECK(learning_rate(10, 100, options) == Approx(2.0));
  CHECK(learning_rate(55, 100, options) == Approx(1.0));
  CHECK(learning_rate(99, 100, options) < 0.001);
  CHECK(learning_rate(0, 1, {.peak = 2.0, .warmup = 0.0}) == Approx(2.0));
  CHECK(learning_rate(1000, 1000, {.peak = 2.0, .warmup = 0.1, .floor = 0.25}) == Approx(0.5));
}
