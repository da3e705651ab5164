// The course of a training run as a picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::train {

/// A loss after so many steps, nats per target.
struct CurvePoint {
  std::int64_t step = 0;
  double loss = 0;
};

struct Curve {
  std::string name;
  std::string colour;  ///< as SVG writes it, such as "#2563eb"
  std::vector<CurvePoint> points;
};

/// A line chart, self-contained. Curves without points are left out; values that are not finite are skipped.
std::string curve_svg(const std::string& title, std::span<const Curve> curves);

/// Means of up to `n` neighbours before each point, itself included: what single steps scatter around.
std::vector<CurvePoint> smoothed(std::span<const CurvePoint> points, std::size_t n);

}  // namespace anabranch::train
