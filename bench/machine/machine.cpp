// Question: what can this machine do at best: bytes read per second, operations per second of each instruction?
//
// Read are 384 MB in order, on big pages. The instructions are those that attention and weight products are made of,
// in loops of assembly with 12 independent sums; a multiplication and an addition are two operations. Best of 20; what
// other benches call the limit is this, measured in their own process.
#include <cstdio>
#include <thread>

#include "../measure.hpp"
#include "machine.hpp"

int main() {
  using namespace anabranch::bench;
  const int n_threads = static_cast<int>(std::thread::hardware_concurrency());
  std::printf("What can this machine do at best?\nmachine: %s, %d cores; best of 20\n", processor().c_str(), n_threads);
  Machine machine(n_threads);
  for (int i = 0; i < 15; ++i) machine.measure();
  machine.print();
  std::printf("machine: %.1f GB/s read by %d threads\n", machine.bandwidth(n_threads) / 1e9, n_threads);
  return 0;
}
