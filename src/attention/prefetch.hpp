// Asks for memory before it is needed. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

namespace anabranch::attention {

/// Asks for the cache lines of rows that are needed soon. An inner loop calls `turn` every few steps, which asks for a
/// few lines, so that they arrive while it works and no queue of the CPU runs over.
class Prefetch {
 public:
  /// `rows` has one entry more than `n_rows`, of any value: `turn` steps onto it.
  Prefetch(const char* const* rows, std::int32_t n_rows, std::int32_t row_bytes) noexcept
      : rows_(rows),
        at_(rows[0]),
        end_(at_ + row_bytes),
        row_bytes_(row_bytes),
        n_left_(n_rows * lines_of(row_bytes)) {}

  /// Divides what is left over this many turns.
  void spread(std::int32_t n_turns) noexcept { per_turn_ = (n_left_ + n_turns - 1) / std::max(n_turns, 1); }

  /// Asks for the next lines.
  void turn() noexcept {
    const std::int32_t n = std::min(per_turn_, n_left_);
    n_left_ -= n;
    const char* at = at_;
    const char* end = end_;
    for (std::int32_t i = 0; i < n; ++i) {
      __builtin_prefetch(at, 0, 2);  // into the second level: the first is full of what is being worked on
      at += 64;
      if (at < end) continue;
      at = *++rows_;
      end = at + row_bytes_;
    }
    at_ = at;
    end_ = end;
  }

 private:
  static constexpr std::int32_t lines_of(std::int32_t bytes) noexcept { return (bytes + 63) / 64; }

  const char* const* rows_;
  const char* at_;
  const char* end_;
  std::int32_t row_bytes_;
  std::int32_t n_left_;
  std::int32_t per_turn_ = 0;
};

/// Steps of an inner loop between two turns.
inline constexpr std::int32_t kTurn = 4;

}  // namespace anabranch::attention
