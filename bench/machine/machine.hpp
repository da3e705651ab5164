// The machine's limits: bytes read per second, and operations per second of the instructions that kernels for language
// models are made of. Benches divide by them to say how far a kernel is from the limit.
//
// Machines shared with others change from minute to minute: two virtual cores may share one link to memory now and have
// one each a moment later, and then read twice as fast. So the limits are measured again in every round of a
// comparison.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "memory.hpp"

namespace anabranch::bench {

/// One multiplication and one addition count as two operations.
enum class Instruction : std::uint8_t {
  fma_float32_256,   ///< vfmadd231ps ymm: 8 float32
  fma_float32_512,   ///< vfmadd231ps zmm: 16 float32
  dot_bfloat16_512,  ///< vdpbf16ps zmm: 32 bfloat16 into 16 float32
  dot_int16_256,     ///< vpmaddwd and vpaddd ymm: 16 int16 into 8 int32
  dot_int8_512,      ///< vpdpbusd zmm: 64 int8 into 16 int32
};
inline constexpr int kInstructions = 5;

const char* name_of(Instruction instruction) noexcept;
/// False on processors of other families too: nothing is known of them but their bandwidth.
bool supported(Instruction instruction) noexcept;

/// Measured at one time with one number of threads.
struct Speed {
  double bandwidth = 0;                       ///< bytes per second read from memory, far beyond the caches
  std::array<double, kInstructions> peaks{};  ///< operations per second; 0 for what is not supported
  double peak(Instruction instruction) const noexcept { return peaks[static_cast<std::size_t>(instruction)]; }
};

/// The better of each figure: what a machine could do between two measurements, if it could do so at either of them.
Speed better_of(const Speed& a, const Speed& b) noexcept;

/// Threads are OpenMP's, which all sides of the benches use: another pool's threads would spin beside them.
class Machine {
 public:
  Machine();
  /// Takes about 30 ms. Bandwidth is the best of three just now, peaks are the best ever seen.
  Speed measure(int n_threads);
  /// Text of all measurements so far, for each number of threads: the range of bandwidths, the peaks.
  void print() const;

 private:
  struct Seen {
    double least_bandwidth = 0, most_bandwidth = 0;
    std::array<double, kInstructions> peaks{};
  };
  BigArray<std::uint64_t> memory_;
  std::map<int, Seen> seen_;  ///< by number of threads
};

}  // namespace anabranch::bench
