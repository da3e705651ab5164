// Question: how many bytes per second can this machine read, and how many operations per second of each instruction can
// it do?
//
// It reads 256 MB in order, on big pages. The instructions are those that attention and weight products are made of, in
// loops of assembly with independent sums; a multiplication and an addition are two operations. Other benches measure
// these limits in their own process, in every round.
#include <cstdio>
#include <thread>
#include <vector>

#include "../measure.hpp"
#include "machine.hpp"

int main() {
  using namespace anabranch::bench;
  constexpr int kRounds = 20;
  const int n_threads = static_cast<int>(std::thread::hardware_concurrency());
  std::printf("What can this machine do at best?\nmachine: %s, %d cores; %d rounds\n", processor().c_str(), n_threads,
              kRounds);
  Machine machine;
  std::vector<double> bandwidths;
  for (int i = 0; i < kRounds; ++i) {
    machine.measure(1);
    bandwidths.push_back(machine.measure(n_threads).bandwidth / 1e9);
  }
  machine.print();
  const Spread s = spread_of(bandwidths);
  std::printf("machine: %.1f GB/s read by %d threads (%.1f..%.1f)\n", s.median, n_threads, s.min, s.max);
  return 0;
}
