// The instruction set that the compiled kernels use.
//
// Kernels are compiled for several instruction sets, and the best one that the CPU has is taken when the program runs.
// The environment variable ANABRANCH_SIMD, or `limit`, takes a lesser one: to compare, and to test on one machine what
// runs on others. The choice holds for the whole process, other users of Highway included; make it while no kernel
// runs.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::simd {

/// Instruction sets that may be allowed; each level includes those above it.
enum class Level : std::uint8_t {
  scalar,       ///< no vectors: plain C++ (x86; on ARM kernels are compiled for NEON only)
  sse4,         ///< 128 bits (x86)
  avx2,         ///< 256 bits, FMA (x86)
  avx512_base,  ///< 512 bits: AVX-512 F, BW, CD, DQ, VL (x86)
  avx512,       ///< and VNNI, bfloat16 products where the CPU has them (x86)
  best,         ///< all that the CPU has, on any CPU
};

/// Instructions that some CPUs have on top of an instruction set; never allowed below Level::avx512.
enum class Extra : std::uint8_t { avx512_vnni, avx512_bf16 };

/// Applies the environment variable ANABRANCH_SIMD (scalar, sse4, avx2, avx512_base, avx512, best; unset or empty means
/// best) at the first call of the process. Every function that dispatches to kernels calls it first. Throws
/// bad_argument for another value.
void prepare();

/// Allows at most `level` from now on, whatever the environment says.
void limit(Level level);

/// The levels that differ on this CPU, lowest first.
std::vector<Level> levels();

/// "avx2", ... as above.
std::string_view name(Level level) noexcept;

/// The instruction set in use, for reports: "AVX3 + VNNI + BF16", "AVX2", "NEON", "SCALAR".
std::string_view in_use();

/// Whether kernels may use these instructions: the CPU has them and the limit allows them.
bool allows(Extra extra);

}  // namespace anabranch::simd
