// Shared by all benches: a clock, the spread of measured times, the name of the machine, and the memory taken.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace anabranch::bench {

using Clock = std::chrono::steady_clock;

/// Seconds that `work` takes.
template <class Work>
double seconds(Work&& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Min, median and max of what was measured.
struct Spread {
  double min = 0, median = 0, max = 0;
};

/// REQUIRES: not empty.
inline Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

inline std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

/// The most memory of this process that was resident at a time; 0: the system does not tell.
inline std::int64_t peak_resident_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("VmHWM:", 0) == 0) return 1024 * std::stoll(line.substr(6));
  return 0;
}

}  // namespace anabranch::bench
