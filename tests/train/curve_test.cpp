// The picture of a run.
#include <anabranch/train/curve.hpp>

#include <limits>

#include "catch.hpp"

using namespace anabranch::train;
using Catch::Matchers::Contains;

TEST_CASE("a curve is drawn inside the axes, with its last value in the legend") {
  const std::vector<Curve> curves{{"train", "#111111", {{1, 3.0}, {50, 2.0}, {100, 1.5}}}, {"none", "#222222", {}}};
  const std::string svg = curve_svg("a < b & c", curves);
  CHECK(svg.rfind("<svg ", 0) == 0);
  CHECK_THAT(svg, Contains("a &lt; b &amp; c") && Contains("train 1.500") && Contains("stroke=\"#111111\""));
  CHECK_THAT(svg, !Contains("#222222"));
  CHECK_THAT(svg, Contains("65.5,40.0 ") && Contains("610.0,356.0 "));
}

TEST_CASE("curves without points, flat curves and values that are no numbers still give a picture") {
  CHECK_THAT(curve_svg("t", {}), Contains("</svg>"));
  const std::vector<Curve> flat{{"f", "#333333", {{1, 2.0}, {2, 2.0}, {3, std::numeric_limits<double>::quiet_NaN()}}}};
  const std::string svg = curve_svg("t", flat);
  CHECK_THAT(svg, Contains("polyline"));
  CHECK_THAT(svg, !Contains("points=\"nan") && !Contains(",nan"));
}

TEST_CASE("smoothing takes the mean of the points before") {
  const std::vector<CurvePoint> points{{1, 4.0}, {2, 2.0}, {3, 6.0}};
  const std::vector<CurvePoint> smooth = smoothed(points, 2);
  REQUIRE(smooth.size() == 3);
  CHECK(smooth[0].loss == Approx(4.0));
  CHECK(smooth[1].loss == Approx(3.0));
  CHECK(smooth[2].loss == Approx(4.0));
  CHECK(smooth[2].step == 3);
}
