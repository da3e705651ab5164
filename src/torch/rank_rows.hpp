// Brings together the rows that several ranks have parts of. With one rank every call returns at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <anabranch/collective.hpp>

#include "shard.hpp"

namespace anabranch::torch {

class RankRows {
 public:
  /// Null: this process is the only rank. `ranks` must outlive it.
  explicit RankRows(Collective* ranks) noexcept
      : ranks_(ranks), n_ranks_(ranks != nullptr ? static_cast<std::size_t>(ranks->size()) : 1) {}

  bool alone() const noexcept { return n_ranks_ == 1; }
  /// Gets the logits, owns decoder and cache.
  bool leads() const noexcept { return alone() || ranks_->rank() == 0; }

  /// Every number becomes the sum of the ranks'.
  void sum(std::span<float> rows) {
    if (!alone()) ranks_->all_reduce(rows);
  }
  /// rows: from [n_rows, this rank's columns] to [n_rows, all columns], on all ranks. columns: [n_ranks].
  void gather(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns);
  /// The same on rank 0 alone; on the others `rows` stay as they are.
  void gather_to_first(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns);

 private:
  std::span<const std::byte> prepare(const std::vector<float>& rows, std::int32_t n_rows,
                                     std::span<const Range> columns);
  void place(std::vector<float>& rows, std::int32_t n_rows, std::span<const Range> columns) const;

  Collective* ranks_;
  std::size_t n_ranks_;
  std::vector<float> parts_;         ///< rank by rank: [n_rows, its columns]
  std::vector<std::size_t> counts_;  ///< bytes
};

}  // namespace anabranch::torch
