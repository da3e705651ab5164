#include "peaks.hpp"

namespace anabranch::bench {

const char* name_of(Instruction instruction) noexcept {
  switch (instruction) {
    case Instruction::fma_float32_256: return "vfmadd231ps ymm";
    case Instruction::fma_float32_512: return "vfmadd231ps zmm";
    case Instruction::dot_bfloat16_512: return "vdpbf16ps zmm";
    case Instruction::dot_int16_256: return "vpmaddwd + vpaddd ymm";
    case Instruction::dot_int8_512: return "vpdpbusd zmm";
  }
  return "";
}

double operations_per_turn(Instruction instruction) noexcept {
  switch (instruction) {
    case Instruction::fma_float32_256: return 12 * 8 * 2;
    case Instruction::fma_float32_512: return 12 * 16 * 2;
    case Instruction::dot_bfloat16_512: return 12 * 32 * 2;
    case Instruction::dot_int16_256: return 12 * 16 * 2;
    case Instruction::dot_int8_512: return 12 * 64 * 2;
  }
  return 0;
}

#if defined(__x86_64__) && defined(__GNUC__)

bool supported(Instruction instruction) noexcept {
  switch (instruction) {
    case Instruction::fma_float32_256: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Instruction::fma_float32_512: return __builtin_cpu_supports("avx512f") != 0;
    case Instruction::dot_bfloat16_512: return __builtin_cpu_supports("avx512bf16") != 0;
    case Instruction::dot_int16_256: return __builtin_cpu_supports("avx2") != 0;
    case Instruction::dot_int8_512: return __builtin_cpu_supports("avx512vnni") != 0;
  }
  return false;
}

// Registers 14 and 15 are the factors: 1.0 as float32 and twice about 1.0 as bfloat16, so that no sum ever becomes
// infinite or denormal. `R` is ymm or zmm; `I` a register with a sum, `T` one between multiplication and addition.
// clang-format wraps these macros anew each time.
// clang-format off
#define ANABRANCH_DOT(OP, R, I) OP " %%" R "14, %%" R "15, %%" R #I "\n\t"
#define ANABRANCH_TWELVE(OP, R)                                                                        \
  ANABRANCH_DOT(OP, R, 0)                                                                              \
  ANABRANCH_DOT(OP, R, 1)                                                                              \
  ANABRANCH_DOT(OP, R, 2)                                                                              \
  ANABRANCH_DOT(OP, R, 3) ANABRANCH_DOT(OP, R, 4) ANABRANCH_DOT(OP, R, 5) ANABRANCH_DOT(OP, R, 6)      \
      ANABRANCH_DOT(OP, R, 7) ANABRANCH_DOT(OP, R, 8) ANABRANCH_DOT(OP, R, 9) ANABRANCH_DOT(OP, R, 10) \
          ANABRANCH_DOT(OP, R, 11)
#define ANABRANCH_SUM(T, I) "vpaddd %%ymm" #T ", %%ymm" #I ", %%ymm" #I "\n\t"
#define ANABRANCH_SIX                                                                                            \
  ANABRANCH_DOT("vpmaddwd", "ymm", 8)                                                                            \
  ANABRANCH_DOT("vpmaddwd", "ymm", 9)                                                                            \
  ANABRANCH_DOT("vpmaddwd", "ymm", 10)                                                                           \
  ANABRANCH_DOT("vpmaddwd", "ymm", 11) ANABRANCH_DOT("vpmaddwd", "ymm", 12) ANABRANCH_DOT("vpmaddwd", "ymm", 13) \
      ANABRANCH_SUM(8, 0) ANABRANCH_SUM(9, 1) ANABRANCH_SUM(10, 2) ANABRANCH_SUM(11, 3) ANABRANCH_SUM(12, 4)     \
          ANABRANCH_SUM(13, 5)
#define ANABRANCH_ZERO(I) "vpxor %%xmm" #I ", %%xmm" #I ", %%xmm" #I "\n\t"
#define ANABRANCH_LOOP(BODY, R) \
  asm volatile(                                                                                             \
      ANABRANCH_ZERO(0) ANABRANCH_ZERO(1) ANABRANCH_ZERO(2) ANABRANCH_ZERO(3) ANABRANCH_ZERO(4)             \
      ANABRANCH_ZERO(5) ANABRANCH_ZERO(6) ANABRANCH_ZERO(7) ANABRANCH_ZERO(8) ANABRANCH_ZERO(9)             \
      ANABRANCH_ZERO(10) ANABRANCH_ZERO(11)                                                                 \
      "vmovd %1, %%xmm15\n\t"                                                                               \
      "vpbroadcastd %%xmm15, %%" R "15\n\t"                                                                 \
      "vpbroadcastd %%xmm15, %%" R "14\n\t"                                                                 \
      ".p2align 5\n\t"                                                                                      \
      "1:\n\t" BODY                                                                                         \
      "dec %0\n\t"                                                                                          \
      "jnz 1b\n\t"                                                                                          \
      "vzeroupper"                                                                                          \
      : "+r"(n_turns)                                                                                       \
      : "r"(0x3f803f80)                                                                                     \
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",      \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
// clang-format on

void run_peak_loop(Instruction instruction, std::int64_t n_turns) noexcept {
  switch (instruction) {
    case Instruction::fma_float32_256: ANABRANCH_LOOP(ANABRANCH_TWELVE("vfmadd231ps", "ymm"), "ymm"); break;
    case Instruction::fma_float32_512: ANABRANCH_LOOP(ANABRANCH_TWELVE("vfmadd231ps", "zmm"), "zmm"); break;
    case Instruction::dot_bfloat16_512: ANABRANCH_LOOP(ANABRANCH_TWELVE("vdpbf16ps", "zmm"), "zmm"); break;
    case Instruction::dot_int16_256: ANABRANCH_LOOP(ANABRANCH_SIX ANABRANCH_SIX, "ymm"); break;
    case Instruction::dot_int8_512: ANABRANCH_LOOP(ANABRANCH_TWELVE("vpdpbusd", "zmm"), "zmm"); break;
  }
}

#undef ANABRANCH_LOOP
#undef ANABRANCH_ZERO
#undef ANABRANCH_SIX
#undef ANABRANCH_SUM
#undef ANABRANCH_TWELVE
#undef ANABRANCH_DOT

#else

bool supported(Instruction) noexcept { return false; }
void run_peak_loop(Instruction, std::int64_t) noexcept {}

#endif

}  // namespace anabranch::bench
