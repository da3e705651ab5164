// Runs the registered benchmarks and ends with the one line that a machine reads: `NAME: figure unit (min..max)`.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "../measure.hpp"

namespace anabranch::bench {

/// Repetitions of every benchmark; median and spread are over them.
inline constexpr int kRepeats = 15;

/// Keeps the time of every repetition, by benchmark name.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const std::string name = run.run_name.function_name;
      if (times_.count(name) == 0) order_.push_back(name);
      times_[name].push_back(run.GetAdjustedRealTime());
      for (const auto& [what, counter] : run.counters) counters_[name][what] = counter.value;
    }
  }
  bool has(const std::string& name) const { return times_.count(name) != 0; }
  /// In microseconds.
  Spread spread(const std::string& name) const { return spread_of(times_.at(name)); }
  void print() const {
    std::printf("%-52s %9s %9s %9s\n", "us per operation", "median", "min", "max");
    for (const std::string& name : order_) {
      const Spread s = spread(name);
      std::printf("%-52s %9.3f %9.3f %9.3f", name.c_str(), s.median, s.min, s.max);
      const auto found = counters_.find(name);
      if (found != counters_.end())
        for (const auto& [what, value] : found->second) std::printf("   %s %.0f", what.c_str(), value);
      std::printf("\n");
    }
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::vector<double>> times_;
  std::map<std::string, std::map<std::string, double>> counters_;
};

/// Registers `run(state)`, which times its own iterations (SetIterationTime).
template <class Run>
void add(const std::string& name, Run run) {
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.05)
      ->Repetitions(kRepeats);
}

/// Prints the question, the machine and all results; last the figure of `headline`.
inline int report(const char* question, const char* sizes, const char* name, const std::string& headline, int argc,
                  char** argv) {
  std::printf("%s\n", question);
  std::printf("machine: %s, %u cores; %s; %d repeats, times from std::chrono::steady_clock\n", processor().c_str(),
              std::thread::hardware_concurrency(), sizes, kRepeats);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  collector.print();
  if (!collector.has(headline)) return 0;  // left out by --benchmark_filter
  const Spread s = collector.spread(headline);
  std::printf("%s: %.2f us (%.2f..%.2f)\n", name, s.median, s.min, s.max);
  return 0;
}

}  // namespace anabranch::bench
