// What this machine can do at best: bytes read per second, and operations per second of the instructions that kernels
// for language models are made of. Benches divide by it to say how far a kernel is from the limit.
//
// Machines shared with others drift from minute to minute. So the figures are measured again and again beside what
// they are compared with, and the best ever seen is kept.
#pragma once

#include <array>
#include <cstdint>

#include "memory.hpp"

namespace anabranch::bench {

/// One multiplication and one addition count as two operations.
enum class Instruction : std::uint8_t {
  fma_float32_256,   ///< vfmadd231ps ymm: 8 float32
  fma_float32_512,   ///< vfmadd231ps zmm: 16 float32
  dot_bfloat16_512,  ///< vdpbf16ps zmm: 32 bfloat16 into 16 float32
  dot_int16_256,     ///< vpmaddwd and vpaddd ymm: 16 int16 into 8 int32
  dot_int16_512,     ///< vpdpwssd zmm: 32 int16 into 16 int32
  dot_int8_512,      ///< vpdpbusd zmm: 64 int8 into 16 int32
};
inline constexpr int kInstructions = 6;

const char* name_of(Instruction instruction) noexcept;
/// False on processors of other families too: nothing is known of them but their bandwidth.
bool supported(Instruction instruction) noexcept;

/// Threads are OpenMP's, as those of all sides of the benches: another pool would fight with their waiting threads.
class Machine {
 public:
  /// `max_threads`: what is measured is measured with 1 thread and with this many.
  explicit Machine(int max_threads);

  /// Takes about 50 ms. Figures only ever grow.
  void measure();
  /// Bytes per second that `n_threads` threads (1 or max_threads) read from memory, far beyond the caches.
  double bandwidth(int n_threads) const noexcept;
  /// Operations per second; 0 for an instruction that is not supported.
  double peak(Instruction instruction, int n_threads) const noexcept;
  int max_threads() const noexcept { return max_threads_; }
  void print() const;

 private:
  struct Figures {
    double bandwidth = 0;
    std::array<double, kInstructions> peaks{};
  };
  void measure(Figures& figures, int n_threads);
  const Figures& figures(int n_threads) const noexcept { return n_threads == 1 ? one_ : all_; }

  int max_threads_;
  BigArray<std::uint64_t> memory_;
  Figures one_, all_;
};

}  // namespace anabranch::bench
