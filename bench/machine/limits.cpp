#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <string>

#include <omp.h>

#include "../measure.hpp"
#include "machine.hpp"
#include "peaks.hpp"

namespace anabranch::bench {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 20;  // far more than any cache
constexpr std::int64_t kTurns = 100'000;                // about 0.4 ms

using Pair = std::uint64_t __attribute__((vector_size(16)));

/// Loads all words; the sum only keeps the compiler from omitting the loads. `n_words` is a multiple of 8.
std::uint64_t read_words(const std::uint64_t* words, std::size_t n_words) noexcept {
  const auto* pairs = reinterpret_cast<const Pair*>(words);
  Pair a{}, b{}, c{}, d{};
  for (std::size_t i = 0; i < n_words / 2; i += 4) {
    a ^= pairs[i];
    b ^= pairs[i + 1];
    c ^= pairs[i + 2];
    d ^= pairs[i + 3];
  }
  a ^= b ^ c ^ d;
  return a[0] ^ a[1];
}

/// Seconds from the first thread's begin to the last one's end. Throws if there are fewer threads than asked for.
template <class Work>
double seconds_together(int n_threads, Work&& work) {
  double begin = 1e300, end = 0;
  int n_running = 0;
#pragma omp parallel num_threads(n_threads) reduction(min : begin) reduction(max : end) reduction(+ : n_running)
  {
    n_running = 1;
#pragma omp barrier
    begin = omp_get_wtime();
    work(omp_get_thread_num());
    end = omp_get_wtime();
  }
  if (n_running != n_threads)
    throw std::runtime_error("OpenMP gives " + std::to_string(n_running) + " of " + std::to_string(n_threads) +
                             " threads");
  return end - begin;
}

volatile std::uint64_t sink;

double measured_bandwidth(std::span<const std::uint64_t> memory, int n_threads) {
  const std::size_t part = memory.size() / static_cast<std::size_t>(n_threads) / 8 * 8;
  const double spent = seconds_together(
      n_threads, [&](int thread) { sink = read_words(memory.data() + part * static_cast<std::size_t>(thread), part); });
  return static_cast<double>(part * sizeof(std::uint64_t)) * n_threads / spent;
}

}  // namespace

Speed better_of(const Speed& a, const Speed& b) noexcept {
  Speed better = a;
  better.bandwidth = std::max(a.bandwidth, b.bandwidth);
  for (std::size_t i = 0; i < better.peaks.size(); ++i) better.peaks[i] = std::max(a.peaks[i], b.peaks[i]);
  return better;
}

Machine::Machine() : memory_(kBytes / sizeof(std::uint64_t)) {
  for (std::size_t i = 0; i < memory_.size(); ++i) memory_.get()[i] = i * 0x9e3779b97f4a7c15;  // no two pages alike
}

Speed Machine::measure(int n_threads) {
  Seen& seen = seen_[n_threads];
  Speed speed;
  for (int i = 0; i < 3; ++i)
    speed.bandwidth = std::max(speed.bandwidth, measured_bandwidth(memory_.span(), n_threads));
  if (seen.least_bandwidth == 0 || speed.bandwidth < seen.least_bandwidth) seen.least_bandwidth = speed.bandwidth;
  seen.most_bandwidth = std::max(seen.most_bandwidth, speed.bandwidth);
  for (int i = 0; i < kInstructions; ++i) {
    const auto instruction = static_cast<Instruction>(i);
    if (!supported(instruction)) continue;
    const double spent = seconds_together(n_threads, [&](int) { run_peak_loop(instruction, kTurns); });
    double& peak = seen.peaks[static_cast<std::size_t>(i)];
    peak = std::max(peak, operations_per_turn(instruction) * kTurns * n_threads / spent);
  }
  speed.peaks = seen.peaks;
  return speed;
}

void Machine::print() const {
  std::printf("%-32s", "the machine at best, threads:");
  for (const auto& [n_threads, seen] : seen_) std::printf(" %17d", n_threads);
  std::printf("\n  %-30s", "reading memory, GB/s");
  for (const auto& [n_threads, seen] : seen_)
    std::printf("      %5.1f..%5.1f", seen.least_bandwidth / 1e9, seen.most_bandwidth / 1e9);
  for (int i = 0; i < kInstructions; ++i) {
    const auto instruction = static_cast<Instruction>(i);
    if (!supported(instruction)) continue;
    std::printf("\n  %-30s", (std::string(name_of(instruction)) + ", Gop/s").c_str());
    for (const auto& [n_threads, seen] : seen_) std::printf(" %17.1f", seen.peaks[static_cast<std::size_t>(i)] / 1e9);
  }
  std::printf("\n");
}

}  // namespace anabranch::bench
