// RunningRowCosts: what a pass costs by its number of rows, refreshed by every pass that is run, so that a machine
// that becomes busy, or idle again, is noticed.
//
//   seconds(rows, keys) = curve(rows, keys) * shape(rows) * load
//
// The curve was measured once (RowCosts), or is 1 where none was. The load is one number and follows within some
// passes; the shape is a number for each width and follows slowly, so that it holds what the curve has wrong. Wider
// than the curve was measured, it is in proportion, a bound that long prompts stay far below: there a pass tells its
// own width's shape and nothing of the load.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <anabranch/decode/row_costs.hpp>

namespace anabranch {

class RunningRowCosts {
 public:
  /// Without a curve it knows nothing until a pass has been added.
  explicit RunningRowCosts(std::shared_ptr<const RowCosts> curve = {}) noexcept : curve_(std::move(curve)) {}

  /// A pass was run. One without rows or without time is not counted. O(1).
  void add(const RowCost& pass);
  bool is_known() const noexcept { return curve_ != nullptr || n_passes_ > 0; }
  /// Never falls with the rows. Wider than anything that was run: as the curve says, or without one in proportion.
  /// REQUIRES: is_known(), n_rows >= 1, n_keys >= 0. O(1), and O(measured rows) with a curve.
  double seconds(std::int32_t n_rows, std::int32_t n_keys) const;
  /// How much longer passes take than the curve says; 1 before the first. Without a curve: than the first passes took.
  double load() const noexcept { return load_; }
  /// About 95 of 100 passes take at most seconds() times this: 1 and twice the mean deviation of late, as if they were
  /// distributed normally.
  double p95() const noexcept { return 1 + 2 * deviation_; }
  std::int64_t n_passes() const noexcept { return n_passes_; }

 private:
  /// A width that was run: several neighbouring ones share a point.
  struct Point {
    double n_rows = 0;  ///< 0: none was run
    double factor = 1;
  };
  static constexpr std::size_t kPoints = 64;
  static std::size_t point_of(std::int32_t n_rows) noexcept;
  double curve(std::int32_t n_rows, std::int32_t n_keys) const {
    return curve_ != nullptr ? curve_->seconds(n_rows, n_keys) : 1.0;
  }
  double widest_measured() const noexcept;
  double shape(double n_rows) const noexcept;

  std::shared_ptr<const RowCosts> curve_;
  std::array<Point, kPoints> points_ = {};
  double load_ = 1;
  double deviation_ = 0;
  std::int64_t n_passes_ = 0;
};

}  // namespace anabranch

#include <anabranch/decode/impl/running_row_costs.hpp>
