// The element types of K and V on the device, float16 and bfloat16, as 16 bits each. Their conversions need no CUDA
// header; they round to nearest even, and a NaN stays a NaN.
#pragma once

#include <cstdint>

#include <anabranch/float16.hpp>

#include "host_device.hpp"

namespace anabranch::cuda {

/// bfloat16: the upper half of a float.
struct Bfloat16 {
  static constexpr std::uint32_t kExponents = 0x7f807f80u;  ///< of the two elements in a word
  static constexpr std::uint32_t kCarry = 0x00800080u;      ///< makes an exponent of all ones run over into the sign

  static ANABRANCH_HOST_DEVICE float widen(std::uint16_t bits) { return float_of_bits(std::uint32_t{bits} << 16); }
  static ANABRANCH_HOST_DEVICE std::uint16_t narrow(float value) {
    const std::uint32_t bits = bits_of_float(value);
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

  static ANABRANCH_HOST_DEVICE float widen(std::uint16_t bits) { return float16_to_float32(bits); }
  static ANABRANCH_HOST_DEVICE std::uint16_t narrow(float value) { return float32_to_float16(value); }
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
