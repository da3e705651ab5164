// The conversion between float16 (IEEE binary16) and float32, bit by bit.
//
// It serves CPUs without an instruction for it, files that store float16, and code that CUDA shares with the host. Its
// results are those of the instructions of x86 (F16C).
#pragma once

#include <cstdint>
#include <cstring>

#include <anabranch/host_device.hpp>

namespace anabranch {

ANABRANCH_HOST_DEVICE std::uint32_t bits_of_float(float value) noexcept {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

ANABRANCH_HOST_DEVICE float float_of_bits(std::uint32_t bits) noexcept {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Exact. A NaN stays a NaN.
ANABRANCH_HOST_DEVICE float float16_to_float32(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // The exponent's bias moves from 15 to 127 by an exact multiplication, which takes subnormal numbers along.
  return float_of_bits(sign | bits_of_float(float_of_bits(rest << 13) * 0x1p112f));
}

/// Rounds to nearest even. A number that is too large becomes infinite; a NaN stays a NaN.
ANABRANCH_HOST_DEVICE std::uint16_t float32_to_float16(float value) noexcept {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t half;
  if (rest > 0x7f800000u) {
    half = 0x7e00u | ((rest >> 13) & 0x3ffu);
  } else if (rest >= 0x477ff000u) {  // 65520 and more
    half = 0x7c00u;
  } else if (rest < 0x38800000u) {  // below 2^-14: adding 1/2 rounds at the last bit of a subnormal number
    half = bits_of_float(float_of_bits(rest) + 0.5f) - 0x3f000000u;
  } else {
    half = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace anabranch
