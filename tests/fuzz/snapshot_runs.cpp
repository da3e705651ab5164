// Runs the snapshot fuzzer without libFuzzer: PROGRAM SEED N, inputs SEED to SEED + N - 1, each from its own number.
// PROGRAM SEED for SECONDS: as many as the time allows. PROGRAM FILE: the input in a file.
//
// Ends with what the inputs reached; a run of thousands in which nothing was accepted, or few kinds of texts refused,
// has lost its way, and fails.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "snapshot_fuzz.hpp"

namespace {

unsigned long long g_seed = 0;

void run_seed(unsigned long long seed) {
  g_seed = seed;
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(16 + random() % 700);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

int run_file(const char* name) {
  std::ifstream in(name, std::ios::binary);
  if (!in) return std::fprintf(stderr, "cannot read %s\n", name), 2;
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  return LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

int report() {
  const fuzz::SnapshotTally& tally = fuzz::snapshot_tally();
  std::size_t n_refused = 0;
  for (const auto& [text, n] : tally.refused) std::printf("%8zu %s\n", n, text.c_str()), n_refused += n;
  std::printf("%zu inputs; %zu changed snapshots refused for %zu reasons, %zu accepted and used in %zu steps\n",
              tally.n_inputs, n_refused, tally.refused.size(), tally.n_accepted, tally.n_steps);
  return tally.n_inputs < 1000 || (tally.n_accepted * 50 > tally.n_inputs && tally.refused.size() > 40) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return run_file(argv[1]);
  if (argc < 3) return std::fprintf(stderr, "%s SEED N | SEED for SECONDS | FILE\n", argv[0]), 2;
  std::signal(SIGABRT, [](int) { std::fprintf(stderr, "input %llu\n", g_seed); });
  const unsigned long long seed = std::strtoull(argv[1], nullptr, 10);
  if (argc == 3) {
    const unsigned long long n = std::strtoull(argv[2], nullptr, 10);
    for (unsigned long long i = 0; i < n; ++i) run_seed(seed + i);
  } else {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::strtol(argv[3], nullptr, 10));
    for (unsigned long long i = 0; std::chrono::steady_clock::now() < end; ++i) run_seed(seed + i);
  }
  return report();
}
