// The operands of the products' inner loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anabranch::linear::impl {

inline constexpr int kChannels = 32;  ///< of a panel

/// One panel and the rows beside it.
struct Tile {
  const std::uint8_t* panel = nullptr;  ///< Int8Matrix::panel
  std::ptrdiff_t n_groups = 0;
  const std::byte* rows = nullptr;
  std::ptrdiff_t stride = 0;             ///< bytes from row to row
  const float* scales = nullptr;         ///< [rows][n_blocks]
  const std::int32_t* starts = nullptr;  ///< [rows][n_blocks]; QuantisedRows::starts
  std::ptrdiff_t n_blocks = 0;

  const std::int8_t* pairs() const { return reinterpret_cast<const std::int8_t*>(panel); }
  /// One half of a panel per block: [n_groups][kChannels / 2][4].
  const std::uint8_t* half(int i) const { return panel + i * n_groups * (kChannels / 2) * 4; }
  const std::int16_t* row16(int r) const { return reinterpret_cast<const std::int16_t*>(rows + r * stride); }
  const std::int8_t* row8(int r) const { return reinterpret_cast<const std::int8_t*>(rows + r * stride); }
};

}  // namespace anabranch::linear::impl
