// RunningRowCosts, and which rows are worth their cost.
#include <memory>

#include <anabranch/decode/impl/row_offers.hpp>
#include <anabranch/decode/running_row_costs.hpp>

#include "catch.hpp"

namespace {

namespace ab = anabranch;
using ab::RunningRowCosts;

std::shared_ptr<const ab::RowCosts> curve() {
  const std::vector<ab::RowCost> samples = {{1, 0, 1.0}, {8, 0, 1.2}, {16, 0, 2.4}, {32, 0, 4.8}};
  return std::make_shared<const ab::RowCosts>(samples);
}

std::size_t n_taken(const RunningRowCosts& costs, std::int32_t n_rows, int n_offers, double target) {
  const std::vector<ab::impl::RowOffer> offers(static_cast<std::size_t>(n_offers), {0, 1, 1.0});
  return ab::impl::n_offers_taken(offers, {n_rows, static_cast<double>(n_rows), 0, n_rows}, costs, target);
}

}  // namespace

TEST_CASE("Costs are the curve's until passes were run, and nothing is known without either") {
  CHECK_FALSE(RunningRowCosts().is_known());
  const RunningRowCosts costs(curve());
  CHECK(costs.is_known());
  CHECK(costs.load() == 1);
  CHECK(costs.seconds(8, 100) == Approx(1.2));
  CHECK(costs.seconds(64, 0) == Approx(9.6));
}

TEST_CASE(
    "A machine that becomes busy is noticed within some passes, at widths that were not run, too; and when it is idle "
    "again") {
  RunningRowCosts costs(curve());
  for (int pass = 0; pass < 12; ++pass) costs.add({4, 0, 3 * curve()->seconds(4, 0)});
  CHECK(costs.load() > 2.2);
  CHECK(costs.seconds(4, 0) == Approx(3 * curve()->seconds(4, 0)).epsilon(0.1));
  CHECK(costs.seconds(32, 0) > 2 * 4.8);
  for (int pass = 0; pass < 20; ++pass) costs.add({4, 0, curve()->seconds(4, 0)});
  CHECK(costs.seconds(4, 0) == Approx(curve()->seconds(4, 0)).epsilon(0.1));
  CHECK(costs.seconds(32, 0) < 1.5 * 4.8);
}

TEST_CASE("One slow pass counts little") {
  RunningRowCosts costs(curve());
  for (int pass = 0; pass < 20; ++pass) costs.add({4, 0, 1.1});
  const double before = costs.seconds(4, 0);
  costs.add({4, 0, 100.0});
  CHECK(costs.seconds(4, 0) < 3 * before);
  costs.add({0, 0, 1.0});
  costs.add({4, 0, 0.0});
  costs.add({4, -1, 1.0});
  CHECK(costs.n_passes() == 21);
}

TEST_CASE("Without a curve costs are learned from the passes alone, and never fall with the rows") {
  RunningRowCosts costs;
  costs.add({4, 10, 2.0});
  CHECK(costs.is_known());
  CHECK(costs.seconds(4, 10) == Approx(2.0));
  CHECK(costs.seconds(1, 0) == Approx(2.0));   // nothing narrower is known to be cheaper
  CHECK(costs.seconds(8, 10) == Approx(4.0));  // in proportion
  for (int pass = 0; pass < 60; ++pass) {
    costs.add({1, 10, 1.0});
    costs.add({4, 10, 1.3});
    costs.add({16, 10, 3.0});
    costs.add({15, 10, 0.5});  // noise
  }
  double before = 0;
  for (std::int32_t n = 1; n < 200; ++n) {
    CHECK(costs.seconds(n, 10) >= before);
    before = costs.seconds(n, 10);
  }
  CHECK(costs.seconds(1, 10) < costs.seconds(16, 10));
}

TEST_CASE("Passes wider than the curve was measured say nothing of narrower ones, nor of the load") {
  RunningRowCosts costs(curve());
  for (int pass = 0; pass < 10; ++pass) costs.add({128, 0, 6.0});  // in proportion it would be 19.2
  CHECK(costs.load() == 1);
  CHECK(costs.seconds(4, 0) == Approx(curve()->seconds(4, 0)));
  CHECK(costs.seconds(128, 0) == Approx(6.0));
  for (int pass = 0; pass < 12; ++pass) costs.add({4, 0, 3 * curve()->seconds(4, 0)});
  CHECK(costs.seconds(128, 0) > 2 * 6.0);  // the load is for all widths
}

TEST_CASE("How far passes scatter is learned") {
  RunningRowCosts costs(curve());
  CHECK(costs.p95() == 1);
  for (int pass = 0; pass < 200; ++pass) costs.add({4, 0, pass % 2 == 0 ? 0.9 : 1.1});
  CHECK(costs.p95() == Approx(1.2).epsilon(0.1));
  for (int pass = 0; pass < 200; ++pass) costs.add({4, 0, 1.0});
  CHECK(costs.p95() < 1.02);
}

TEST_CASE("A request that decodes alone may have several tokens in as many times the target") {
  const RunningRowCosts costs(curve());
  const std::vector<ab::impl::RowOffer> branches(31, {0, 1, 1.0, true});
  CHECK(ab::impl::n_offers_taken(branches, {1, 1.0, 0, 1}, costs, 1.0) == 31);  // 32 rows in 4.8 s, 0.15 s a token
  CHECK(ab::impl::n_offers_taken(branches, {2, 2.0, 0, 2}, costs, 1.1) == 2);   // another waits for its only token
  const std::vector<ab::impl::RowOffer> prompt(31, {0, 1, 1.0, false});
  CHECK(ab::impl::n_offers_taken(prompt, {1, 1.0, 0, 1}, costs, 1.1) == 3);
}

TEST_CASE("Rows are taken while they bring tokens faster, within the target") {
  const RunningRowCosts costs(curve());
  CHECK(n_taken(costs, 1, 40, 0) == 40);   // from 8 on in proportion: about as fast, and wider is taken
  CHECK(n_taken(costs, 1, 40, 1.2) == 7);  // up to 8 rows
  CHECK(n_taken(costs, 1, 40, 0.5) == 0);  // the target cannot be kept: no more than what must be
  CHECK(n_taken(costs, 8, 40, 1.3) == 0);
  const std::vector<ab::RowCost> steep = {{1, 0, 1.0}, {4, 0, 1.1}, {8, 0, 4.0}, {16, 0, 16.0}};
  CHECK(n_taken(RunningRowCosts(std::make_shared<const ab::RowCosts>(steep)), 1, 15, 0) == 3);  // 4 rows for 1.1 s
  const std::vector<ab::impl::RowOffer> poor = {{0, 4, 0.1}, {0, 1, 1.0}};  // the rows before it bring next to nothing
  CHECK(ab::impl::n_offers_taken(poor, {8, 8.0, 0}, costs, 0) == 0);
}
