#include "rank_rows.hpp"

#include <algorithm>

#include "sizes.hpp"

namespace anabranch::torch {

/// Makes room, and returns this rank's bytes.
std::span<const std::byte> RankRows::prepare(const std::vector<float>& rows, std::int32_t n_rows,
                                             std::span<const Range> columns) {
  counts_.clear();
  for (const Range& range : columns) counts_.push_back(n_elements(n_rows, range.size()) * sizeof(float));
  parts_.resize(std::max(parts_.size(), n_elements(n_rows, columns.back().end)));
  const auto me = static_cast<std::size_t>(ranks_->rank());
  return std::as_bytes(std::span(rows)).first(counts_[me]);
}

void RankRows::place(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns) const {
  const std::int32_t width = columns.back().end;
  rows.resize(std::max(rows.size(), n_elements(n_rows, width)));
  const float* from = parts_.data();
  for (const Range& range : columns)
    for (std::int32_t row = 0; row < n_rows; ++row, from += range.size())
      std::copy_n(from, range.size(), rows.data() + n_elements(row, width) + range.begin);
}

void RankRows::gather(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns) {
  if (alone()) return;
  const std::span<const std::byte> mine = prepare(rows, n_rows, columns);
  const std::size_t n = n_elements(n_rows, columns.back().end);
  ranks_->all_gather(mine, std::as_writable_bytes(std::span(parts_).first(n)), counts_);
  place(rows, n_rows, columns);
}

void RankRows::gather_to_first(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns) {
  if (alone()) return;
  const std::span<const std::byte> mine = prepare(rows, n_rows, columns);
  const std::size_t n = n_elements(n_rows, columns.back().end);
  ranks_->gather(mine, std::as_writable_bytes(std::span(parts_).first(n)), counts_);
  if (leads()) place(rows, n_rows, columns);
}

}  // namespace anabranch::torch
