// RowCosts: the measured cost of one forward pass, by its number of rows and of keys. It decides how many branches pay
// off: where a pass of 8 rows costs little more than one of a single row, 8 branches are nearly free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace anabranch {

/// Time of one pass, as measured.
struct RowCost {
  std::int32_t n_rows = 0;  ///< >= 1
  std::int32_t n_keys = 0;  ///< tokens in the cache that each row sees, >= 0
  double seconds = 0;       ///< > 0
};

/// Never falls: more rows or more keys never cost less. Where measured times say otherwise, which is noise, the larger
/// one counts for both. In between it is linear in either; elsewhere:
///   n_keys below what was measured   as for the fewest measured
///   n_keys above                     along the line through the two largest (one only: the same for all n_keys)
///   n_rows above what was measured   in proportion to the rows: one more row is not known to cost less
class RowCosts {
 public:
  /// Samples in any order; of several with the same rows and keys the least counts, since disturbances only add time.
  /// One row must be among the samples, and every number of rows be measured at every number of keys. Throws
  /// bad_argument.
  explicit RowCosts(std::span<const RowCost> samples);

  /// Throws bad_argument for less than one row or a negative number of keys. O(measured rows).
  double seconds(std::int32_t n_rows, std::int32_t n_keys) const;
  /// The most rows, of those in the measured range, whose pass costs at most `factor` times that of one row; at least
  /// 1. Throws bad_argument when `factor` is below 1 or n_keys negative.
  std::int32_t widest_within(double factor, std::int32_t n_keys) const;

  /// The measured numbers of rows and of keys, ascending.
  std::span<const std::int32_t> rows() const noexcept { return rows_; }
  std::span<const std::int32_t> keys() const noexcept { return keys_; }

 private:
  void fill(std::span<const RowCost> samples);
  std::vector<double> column(std::int32_t n_keys) const;
  double at(const std::vector<double>& column, std::int32_t n_rows) const;

  std::vector<std::int32_t> rows_, keys_;
  std::vector<double> seconds_;  // [keys_][rows_], rising along both
};

}  // namespace anabranch

#include <anabranch/decode/impl/row_costs.hpp>
