// RunningRowCosts: bodies.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <anabranch/decode/running_row_costs.hpp>

namespace anabranch {

/// Two points for each doubling of the rows, but one for each of the first four.
inline std::size_t RunningRowCosts::point_of(std::int32_t n_rows) noexcept {
  if (n_rows <= 4) return static_cast<std::size_t>(n_rows - 1);
  return std::min(kPoints - 1, static_cast<std::size_t>(2 * std::log2(n_rows)));
}

inline double RunningRowCosts::widest_measured() const noexcept {
  return curve_ != nullptr ? curve_->rows().back() : std::numeric_limits<double>::infinity();
}

/// Linear between the widths that were run, on this side of the widest that was measured. Beside them it stays, but
/// that without a curve it grows with the rows.
inline double RunningRowCosts::shape(double n_rows) const noexcept {
  const double widest = widest_measured();
  const Point* below = nullptr;
  const Point* above = nullptr;
  for (const Point& point : points_) {
    if (point.n_rows == 0 || (point.n_rows > widest) != (n_rows > widest)) continue;
    if (point.n_rows <= n_rows) below = &point;
    if (point.n_rows >= n_rows && above == nullptr) above = &point;
  }
  if (below == nullptr && above == nullptr) return n_rows > widest ? shape(widest) : 1.0;
  if (below == nullptr) return above->factor;
  if (above == nullptr) return curve_ != nullptr ? below->factor : below->factor * n_rows / below->n_rows;
  if (above->n_rows == below->n_rows) return below->factor;
  return std::lerp(below->factor, above->factor, (n_rows - below->n_rows) / (above->n_rows - below->n_rows));
}

inline void RunningRowCosts::add(const RowCost& pass) {
  if (pass.n_rows < 1 || pass.n_keys < 0 || !(pass.seconds > 0)) return;
  constexpr double kLoad = 0.25, kShape = 0.04, kMostChange = 4;  // shares of a pass; a hiccup counts as 4 times
  Point& point = points_[point_of(pass.n_rows)];
  const bool is_new = point.n_rows == 0;
  const auto n_rows = static_cast<double>(pass.n_rows);
  const double unloaded = curve(pass.n_rows, pass.n_keys);
  if (n_passes_++ == 0 && curve_ == nullptr) {
    point = {n_rows, pass.seconds};
    return;
  }
  if (is_new && (curve_ == nullptr || n_rows > widest_measured())) {  // what a width costs is not known from the others
    point = {n_rows, pass.seconds / (unloaded * load_)};
    return;
  }
  const double expected = unloaded * shape(n_rows) * load_;
  const double change = std::clamp(pass.seconds / expected, 1 / kMostChange, kMostChange);
  point.factor = shape(n_rows) * std::lerp(1.0, change, kShape);
  point.n_rows = is_new ? n_rows : std::lerp(point.n_rows, n_rows, kShape);
  if (n_rows > widest_measured()) return;
  deviation_ = std::lerp(deviation_, std::abs(change - 1), kShape);
  load_ *= std::lerp(1.0, change, kLoad);
}

inline double RunningRowCosts::seconds(std::int32_t n_rows, std::int32_t n_keys) const {
  double most = curve(n_rows, n_keys) * shape(n_rows);
  for (const Point& point : points_) {
    if (point.n_rows == 0 || point.n_rows >= n_rows) continue;
    most = std::max(most, curve(static_cast<std::int32_t>(point.n_rows), n_keys) * point.factor);
  }
  return most * load_;
}

}  // namespace anabranch
