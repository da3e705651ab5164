// RowCosts: the table that is made from samples, and its interpolation.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <anabranch/decode/row_costs.hpp>
#include <anabranch/error.hpp>

namespace anabranch {

namespace impl {

inline std::string point(std::int32_t n_rows, std::int32_t n_keys) {
  return std::to_string(n_rows) + (n_rows == 1 ? " row at " : " rows at ") + std::to_string(n_keys) + " keys";
}

inline void check_point(std::int32_t n_rows, std::int32_t n_keys) {
  if (n_rows < 1 || n_keys < 0)
    fail(Status::bad_argument, "costs of ", point(n_rows, n_keys), "; rows must be >= 1, keys >= 0");
}

/// Index of `value` in an ascending list. REQUIRES: it is there.
inline std::size_t index_in(const std::vector<std::int32_t>& list, std::int32_t value) {
  return static_cast<std::size_t>(std::lower_bound(list.begin(), list.end(), value) - list.begin());
}

inline void sort_unique(std::vector<std::int32_t>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace impl

inline RowCosts::RowCosts(std::span<const RowCost> samples) {
  for (const RowCost& s : samples) {
    impl::check_point(s.n_rows, s.n_keys);
    if (!(s.seconds > 0) || !std::isfinite(s.seconds))
      fail(Status::bad_argument, "a pass of ", impl::point(s.n_rows, s.n_keys), " took ", s.seconds,
           " s; it must be finite and > 0");
    rows_.push_back(s.n_rows);
    keys_.push_back(s.n_keys);
  }
  impl::sort_unique(rows_);
  impl::sort_unique(keys_);
  if (rows_.empty() || rows_.front() != 1)
    fail(Status::bad_argument, "no sample of 1 row among ", samples.size(), "; it is what costs are relative to");
  fill(samples);
}

inline void RowCosts::fill(std::span<const RowCost> samples) {
  constexpr double kMissing = std::numeric_limits<double>::infinity();
  const std::size_t n = rows_.size();
  seconds_.assign(keys_.size() * n, kMissing);
  for (const RowCost& s : samples) {
    double& cell = seconds_[impl::index_in(keys_, s.n_keys) * n + impl::index_in(rows_, s.n_rows)];
    cell = std::min(cell, s.seconds);
  }
  for (std::size_t k = 0; k < keys_.size(); ++k)
    for (std::size_t r = 0; r < n; ++r) {
      double& cell = seconds_[k * n + r];
      if (cell == kMissing)
        fail(Status::bad_argument, "no sample of ", impl::point(rows_[r], keys_[k]),
             "; every number of rows must be measured at every number of keys");
      if (r > 0) cell = std::max(cell, seconds_[k * n + r - 1]);
      if (k > 0) cell = std::max(cell, seconds_[(k - 1) * n + r]);
    }
}

/// Seconds at `n_keys` for each of rows_.
inline std::vector<double> RowCosts::column(std::int32_t n_keys) const {
  const std::size_t n = rows_.size();
  const std::size_t above = impl::index_in(keys_, n_keys);  // the first with at least n_keys
  const std::size_t high = std::min(std::max<std::size_t>(above, 1), keys_.size() - 1);
  const std::size_t low = high > 0 ? high - 1 : 0;
  // 0 at `low`, 1 at `high`, more beyond the largest.
  const double part = high == low || n_keys <= keys_[low] ? 0.0
                                                          : (static_cast<double>(n_keys) - keys_[low]) /
                                                                (static_cast<double>(keys_[high]) - keys_[low]);
  std::vector<double> result(n);
  for (std::size_t r = 0; r < n; ++r) {
    result[r] = std::lerp(seconds_[low * n + r], seconds_[high * n + r], part);
    if (r > 0) result[r] = std::max(result[r], result[r - 1]);  // lines may cross beyond the largest n_keys
  }
  return result;
}

inline double RowCosts::at(const std::vector<double>& column, std::int32_t n_rows) const {
  const std::size_t above = impl::index_in(rows_, n_rows);
  if (above == rows_.size()) return column.back() * n_rows / rows_.back();
  if (rows_[above] == n_rows) return column[above];
  const double part = (static_cast<double>(n_rows) - rows_[above - 1]) / (rows_[above] - rows_[above - 1]);
  return std::lerp(column[above - 1], column[above], part);
}

inline double RowCosts::seconds(std::int32_t n_rows, std::int32_t n_keys) const {
  impl::check_point(n_rows, n_keys);
  return at(column(n_keys), n_rows);
}

inline std::int32_t RowCosts::widest_within(double factor, std::int32_t n_keys) const {
  impl::check_point(1, n_keys);
  if (!(factor >= 1)) fail(Status::bad_argument, "a pass within ", factor, " times that of one row; it must be >= 1");
  const std::vector<double> seconds = column(n_keys);
  std::int32_t n_rows = rows_.back();
  while (n_rows > 1 && at(seconds, n_rows) > factor * seconds.front()) --n_rows;
  return n_rows;
}

}  // namespace anabranch
