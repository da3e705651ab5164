// Rounding to bfloat16, the upper half of a float32.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace anabranch::hf::impl {

/// To nearest, ties to even. A NaN stays one.
inline std::uint16_t bfloat16_of(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float of_bfloat16(std::uint16_t half) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

}  // namespace anabranch::hf::impl
