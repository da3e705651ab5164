#include <algorithm>
#include <cstddef>
#include <cstdio>

#include <omp.h>

#include "../measure.hpp"
#include "machine.hpp"
#include "peaks.hpp"

namespace anabranch::bench {
namespace {

constexpr std::size_t kBytes = std::size_t{384} << 20;  // far more than any cache
constexpr std::int64_t kTurns = 100'000;                // about 0.4 ms

using Pair = std::uint64_t __attribute__((vector_size(16)));

/// Loads everything; the sum only keeps the compiler from leaving that out. `n_words` is a multiple of 8.
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

/// Seconds from the first thread's begin to the last one's end.
template <class Work>
double seconds_together(int n_threads, Work&& work) {
  double begin = 1e300, end = 0;
#pragma omp parallel num_threads(n_threads) reduction(min : begin) reduction(max : end)
  {
#pragma omp barrier
    begin = omp_get_wtime();
    work(omp_get_thread_num());
    end = omp_get_wtime();
  }
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

Machine::Machine(int max_threads) : max_threads_(max_threads), memory_(kBytes / sizeof(std::uint64_t)) {
  std::fill_n(memory_.get(), memory_.size(), std::uint64_t{0x9e3779b97f4a7c15});
  for (int i = 0; i < 5; ++i) measure();
}

void Machine::measure() {
  measure(one_, 1);
  if (max_threads_ > 1) measure(all_, max_threads_);
}

void Machine::measure(Figures& figures, int n_threads) {
  figures.bandwidth = std::max(figures.bandwidth, measured_bandwidth(memory_.span(), n_threads));
  for (int i = 0; i < kInstructions; ++i) {
    const auto instruction = static_cast<Instruction>(i);
    if (!supported(instruction)) continue;
    const double spent = seconds_together(n_threads, [&](int) { run_peak_loop(instruction, kTurns); });
    double& peak = figures.peaks[static_cast<std::size_t>(i)];
    peak = std::max(peak, operations_per_turn(instruction) * kTurns * n_threads / spent);
  }
}

double Machine::bandwidth(int n_threads) const noexcept { return figures(n_threads).bandwidth; }

double Machine::peak(Instruction instruction, int n_threads) const noexcept {
  return figures(n_threads).peaks[static_cast<std::size_t>(instruction)];
}

void Machine::print() const {
  std::printf("%-32s %14s", "at best", "1 thread");
  if (max_threads_ > 1) std::printf(" %11d threads", max_threads_);
  const auto line = [&](const char* what, double one, double all, const char* unit) {
    std::printf("\n%-32s %8.1f %s", what, one / 1e9, unit);
    if (max_threads_ > 1) std::printf(" %12.1f %s", all / 1e9, unit);
  };
  line("reading memory", bandwidth(1), bandwidth(max_threads_), "GB/s ");
  for (int i = 0; i < kInstructions; ++i) {
    const auto instruction = static_cast<Instruction>(i);
    if (supported(instruction))
      line(name_of(instruction), peak(instruction, 1), peak(instruction, max_threads_), "Gop/s");
  }
  std::printf("\n");
}

}  // namespace anabranch::bench
