// Row costs: what is measured, in between, beyond; and what cannot be.
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>

#include "scripted.hpp"

using namespace scripted;

namespace {

using Samples = std::vector<ab::RowCost>;

/// Text of the bad_argument that `call` throws.
template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const ab::Error& error) {
    CHECK(error.status() == ab::Status::bad_argument);
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("A pass costs as much as was measured, and in between as much as lies on the line") {
  const ab::RowCosts costs(
      Samples{{8, 100, 6.0}, {1, 100, 2.0}, {2, 100, 3.0}, {1, 300, 4.0}, {2, 300, 4.0}, {8, 300, 10.0}});
  CHECK(costs.seconds(1, 100) == Approx(2));
  CHECK(costs.seconds(8, 300) == Approx(10));
  CHECK(costs.seconds(4, 100) == Approx(4));
  CHECK(costs.seconds(5, 300) == Approx(7));
  CHECK(costs.seconds(1, 150) == Approx(2.5));
  CHECK(costs.seconds(4, 200) == Approx((4.0 + 6.0) / 2));
  CHECK(std::vector<std::int32_t>(costs.rows().begin(), costs.rows().end()) == std::vector<std::int32_t>{1, 2, 8});
  CHECK(std::vector<std::int32_t>(costs.keys().begin(), costs.keys().end()) == std::vector<std::int32_t>{100, 300});
}

TEST_CASE("Beyond the measured range the cost of keys follows the line, that of rows is in proportion") {
  const ab::RowCosts costs(Samples{{1, 100, 2.0}, {4, 100, 3.0}, {1, 300, 4.0}, {4, 300, 7.0}});
  CHECK(costs.seconds(1, 0) == Approx(2));
  CHECK(costs.seconds(1, 500) == Approx(6));
  CHECK(costs.seconds(4, 400) == Approx(9));
  CHECK(costs.seconds(8, 100) == Approx(6));
  const ab::RowCosts one_length(Samples{{1, 512, 2.0}, {4, 512, 3.0}});
  for (const int n_keys : {0, 512, 100000}) CHECK(one_length.seconds(4, n_keys) == Approx(3));
}

TEST_CASE("Of several samples with the same rows and keys the least counts") {
  const ab::RowCosts costs(Samples{{1, 0, 2.5}, {1, 0, 2.0}, {1, 0, 9.0}});
  CHECK(costs.seconds(1, 0) == Approx(2));
}

TEST_CASE(
    "The widest pass within a factor is the last that fits, never less than one row nor more than were measured") {
  const ab::RowCosts costs(
      Samples{{1, 512, 4.0}, {4, 512, 4.6}, {8, 512, 9.0}, {1, 4096, 8.0}, {4, 4096, 8.0}, {8, 4096, 8.0}});
  CHECK(costs.widest_within(1.0, 512) == 1);
  CHECK(costs.widest_within(1.05, 512) == 2);
  CHECK(costs.widest_within(1.15, 512) == 4);
  CHECK(costs.widest_within(1.5, 512) == 5);
  CHECK(costs.widest_within(2.25, 512) == 8);
  CHECK(costs.widest_within(100.0, 512) == 8);
  CHECK(costs.widest_within(std::numeric_limits<double>::infinity(), 512) == 8);
}

TEST_CASE("More rows or keys never cost less, whatever noise was measured") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> seconds(0.001, 0.01);
    Samples samples;
    for (const int n_rows : {1, 2, 5, 8})
      for (const int n_keys : {64, 100, 500}) samples.push_back({n_rows, n_keys, seconds(random)});
    const ab::RowCosts costs(samples);
    for (const ab::RowCost& sample : samples) CHECK(costs.seconds(sample.n_rows, sample.n_keys) >= sample.seconds);
    for (int n_keys = 0; n_keys < 1000; n_keys += 37) {
      for (int n_rows = 1; n_rows < 20; ++n_rows) {
        const double here = costs.seconds(n_rows, n_keys) * (1 - 1e-12);
        REQUIRE(costs.seconds(n_rows + 1, n_keys) >= here);
        REQUIRE(costs.seconds(n_rows, n_keys + 37) >= here);
      }
      const std::int32_t widest = costs.widest_within(1.5, n_keys);
      REQUIRE(costs.seconds(widest, n_keys) <= 1.5 * costs.seconds(1, n_keys));
      if (widest < 8) REQUIRE(costs.seconds(widest + 1, n_keys) > 1.5 * costs.seconds(1, n_keys));
    }
  }
}

TEST_CASE("Samples and questions that make no sense are refused with their value") {
  const auto made = [](Samples samples) { return refusal([&] { ab::RowCosts{samples}; }); };
  CHECK(made({}) == "no sample of 1 row among 0; it is what costs are relative to");
  CHECK(made({{2, 0, 1.0}}) == "no sample of 1 row among 1; it is what costs are relative to");
  CHECK(made({{0, 7, 1.0}}) == "costs of 0 rows at 7 keys; rows must be >= 1, keys >= 0");
  CHECK(made({{1, -7, 1.0}}) == "costs of 1 row at -7 keys; rows must be >= 1, keys >= 0");
  CHECK(made({{1, 7, 0.0}}) == "a pass of 1 row at 7 keys took 0.000000 s; it must be finite and > 0");
  CHECK(made({{1, 7, -1.0}}).find("-1.000000 s") != std::string::npos);
  CHECK(made({{1, 7, std::nan("")}}).find("nan s") != std::string::npos);
  CHECK(made({{1, 7, std::numeric_limits<double>::infinity()}}).find("inf s") != std::string::npos);
  CHECK(made({{1, 7, 1.0}, {2, 7, 1.0}, {1, 9, 1.0}}) ==
        "no sample of 2 rows at 9 keys; every number of rows must be measured at every number of keys");
  const ab::RowCosts costs(Samples{{1, 0, 1.0}});
  CHECK(refusal([&] { costs.seconds(0, 5); }) == "costs of 0 rows at 5 keys; rows must be >= 1, keys >= 0");
  CHECK(refusal([&] { costs.seconds(1, -1); }).find("-1 keys") != std::string::npos);
  CHECK(refusal([&] { costs.widest_within(2, -1); }).find("-1 keys") != std::string::npos);
  CHECK(refusal([&] { costs.widest_within(0.5, 0); }) ==
        "a pass within 0.500000 times that of one row; it must be >= 1");
  CHECK(refusal([&] { costs.widest_within(std::nan(""), 0); }).find("within nan") != std::string::npos);
}

TEST_CASE("A decoder keeps the row costs that it is given") {
  const auto costs = std::make_shared<const ab::RowCosts>(Samples{{1, 0, 1.0}, {8, 0, 1.5}});
  AspdRun with(aspd(), {.row_costs = costs}), without(aspd());
  REQUIRE(with.decoder.row_costs() == costs.get());
  CHECK(with.decoder.row_costs()->widest_within(2, 100) == 8);
  CHECK(without.decoder.row_costs() == nullptr);
}
