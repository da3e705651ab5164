// float16 bit by bit, for CPUs that have no instruction for it. Plain C++.
#pragma once

#include <bit>
#include <cstdint>

namespace anabranch::attention {

inline float float_of_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // Shifted into place the exponent is 112 too small; a product moves it, subnormal numbers too, exactly.
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112f));
}

/// To nearest even; too large becomes infinite, NaN stays one.
inline std::uint16_t half_of_float(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t rest = bits & 0x7fffffffu;
  const auto with_sign = [sign](std::uint32_t half) { return static_cast<std::uint16_t>(sign | half); };
  if (rest > 0x7f800000u) return with_sign(0x7e00u);
  if (rest >= 0x477ff000u) return with_sign(0x7c00u);  // 65520 and more
  if (rest < 0x38800000u)                              // below 2^-14: adding 1/2 rounds at the last subnormal bit
    return with_sign(std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3f000000u);
  return with_sign((rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13);
}

}  // namespace anabranch::attention
