// float16 and bfloat16 as 16 bits, with conversions that need no CUDA header: to nearest even, NaN stays NaN.
#pragma once

#include <cstdint>
#include <cstring>

#include "host_device.hpp"

namespace anabranch::cuda {

ANABRANCH_HOST_DEVICE std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
ANABRANCH_HOST_DEVICE float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// bfloat16: the upper half of a float.
struct Bfloat16 {
  static constexpr std::uint32_t kExponents = 0x7f807f80u;  ///< of the two elements in a word
  static constexpr std::uint32_t kCarry = 0x00800080u;      ///< makes an exponent of all ones run over into the sign

  static ANABRANCH_HOST_DEVICE float widen(std::uint16_t bits) { return float_of(std::uint32_t{bits} << 16); }
  static ANABRANCH_HOST_DEVICE std::uint16_t narrow(float value) {
    const std::uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
  /// `low` and `high` rounded into one word.
  static ANABRANCH_HOST_DEVICE std::uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__)
    std::uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return narrow(low) | std::uint32_t{narrow(high)} << 16;
#endif
  }
};

/// IEEE binary16.
struct Float16 {
  static constexpr std::uint32_t kExponents = 0x7c007c00u;
  static constexpr std::uint32_t kCarry = 0x04000400u;

  static ANABRANCH_HOST_DEVICE float widen(std::uint16_t bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16;
    const std::uint32_t rest = bits & 0x7fffu;
    if (rest >= 0x7c00u) return float_of(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    // The exponent's bias moves from 15 to 127 by an exact multiplication, which takes subnormal numbers along.
    return float_of(sign | bits_of(float_of(rest << 13) * 0x1p112f));
  }
  static ANABRANCH_HOST_DEVICE std::uint16_t narrow(float value) {
    const std::uint32_t bits = bits_of(value);
    const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
    const std::uint32_t rest = bits & 0x7fffffffu;
    std::uint32_t half;
    if (rest > 0x7f800000u) {
      half = 0x7e00u | ((rest >> 13) & 0x3ffu);
    } else if (rest >= 0x477ff000u) {  // 65520 and more
      half = 0x7c00u;
    } else if (rest < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the subnormal's bits, rounded, at the end
      half = bits_of(float_of(rest) + 0.5f) - 0x3f000000u;
    } else {
      half = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
  }
  static ANABRANCH_HOST_DEVICE std::uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__)
    std::uint32_t word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return narrow(low) | std::uint32_t{narrow(high)} << 16;
#endif
  }
};

/// Bit 15 of each half of the result is set where that element of the word is infinite or NaN.
template <class E>
ANABRANCH_HOST_DEVICE std::uint32_t non_finite(std::uint32_t word) {
  return ((word & E::kExponents) + E::kCarry) & 0x80008000u;
}

/// The word with its infinite and NaN elements replaced by zero.
template <class E>
ANABRANCH_HOST_DEVICE std::uint32_t only_finite(std::uint32_t word) {
  const std::uint32_t marks = non_finite<E>(word);
  return word & ~((marks >> 15) * 0xffffu);
}

}  // namespace anabranch::cuda
