// The machine's limits: bytes read from memory per second, and integer multiply-adds per second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include <anabranch/linear/weight_memory.hpp>
#include <anabranch/parallel_for.hpp>
#include <anabranch/simd.hpp>

namespace anabranch::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Eight independent instructions per turn, on registers alone, in assembler so that no compiler has a say.
#define ANABRANCH_EIGHT(ONE) ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5) ONE(6) ONE(7)
#define ANABRANCH_VNNI(r) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #r "\n"
#define ANABRANCH_MADD(r, reg) \
  "vpmaddwd %%" reg "14, %%" reg "15, %%" reg "8\nvpaddd %%" reg "8, %%" reg #r ", %%" reg #r "\n"
#define ANABRANCH_MADD_ZMM(r) ANABRANCH_MADD(r, "zmm")
#define ANABRANCH_MADD_YMM(r) ANABRANCH_MADD(r, "ymm")

struct Peak {
  std::string_view instruction;  ///< empty: unknown on this CPU
  double per_turn = 0;           ///< multiply-adds of the eight
  void (*turns)(std::int64_t n) = nullptr;
};

inline Peak peak_of_products() {
#if defined(__x86_64__)
#define ANABRANCH_LOOP(TEXT)                                                                                      \
  [](std::int64_t n) {                                                                                            \
    for (; n > 0; --n)                                                                                            \
      asm volatile(TEXT ::                                                                                        \
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                         "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                            \
    asm volatile("vzeroupper");                                                                                   \
  }
  const std::string_view set = simd::in_use();
  if (simd::allows(simd::Extra::avx512_vnni))
    return {"vpdpbusd zmm", 8.0 * 64, ANABRANCH_LOOP(ANABRANCH_EIGHT(ANABRANCH_VNNI))};
  if (set.substr(0, 4) == "AVX3")
    return {"vpmaddwd + vpaddd zmm", 8.0 * 32, ANABRANCH_LOOP(ANABRANCH_EIGHT(ANABRANCH_MADD_ZMM))};
  if (set == "AVX2") return {"vpmaddwd + vpaddd ymm", 8.0 * 16, ANABRANCH_LOOP(ANABRANCH_EIGHT(ANABRANCH_MADD_YMM))};
#undef ANABRANCH_LOOP
#endif
  return {};
}

/// Multiply-adds per second of all threads together; 0 where the peak is unknown.
inline double products_per_second(const ParallelFor& parallel) {
  const Peak peak = peak_of_products();
  if (peak.turns == nullptr) return 0;
  constexpr std::int64_t kTurns = 500'000;
  double best = 1e9;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const double start = seconds_now();
    parallel(parallel.n_workers(), [&](std::int32_t) { peak.turns(kTurns); });
    best = std::min(best, seconds_now() - start);
  }
  return static_cast<double>(kTurns) * peak.per_turn * parallel.n_workers() / best;
}

/// Bytes per second that all threads together read from memory much larger than the caches.
inline double bytes_per_second(const ParallelFor& parallel) {
  constexpr std::size_t kWords = std::size_t{192} * 1024 * 1024 / 8;
  static linear::WeightMemory huge_pages;  // as the weights have
  static std::pmr::vector<std::uint64_t> memory(kWords, 1, &huge_pages);
  const std::size_t share = kWords / static_cast<std::size_t>(parallel.n_workers());
  double best = 1e9;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const double start = seconds_now();
    parallel(parallel.n_workers(), [&](std::int32_t worker) {
      const std::uint64_t* words = memory.data() + share * static_cast<std::size_t>(worker);
      std::uint64_t sums[16] = {};
      for (std::size_t i = 0; i + 16 <= share; i += 16)
        for (std::size_t j = 0; j < 16; ++j) sums[j] ^= words[i + j];
      std::uint64_t all = 0;
      for (const std::uint64_t sum : sums) all ^= sum;
      benchmark::DoNotOptimize(all);
    });
    best = std::min(best, seconds_now() - start);
  }
  return static_cast<double>(share * 8) * parallel.n_workers() / best;
}

}  // namespace anabranch::bench
