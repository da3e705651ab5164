// Question: how long does CausalLm::load take with int8 weights, and what is the most memory that the process had by
// then: the first time, when weights are packed and kept, and later, when they are taken from the kept file?
//
// Bar: later loads under 0.3 s and 450 MB. Each load runs in a process of its own, the first ones with an empty folder
// for kept weights; the model's files are in the system's cache of files. The time is that inside load, the memory the
// process's VmHWM right behind it, LibTorch's own included, which is printed beside it.
//
//   bench/run load [rounds] [model folder] [adapter folder]
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <anabranch/torch/causal_lm.hpp>

#include "../measure.hpp"

namespace {

namespace ab = anabranch;
namespace fs = std::filesystem;
using ab::bench::Spread;
using ab::bench::spread_of;

/// Megabytes, of 10^6 bytes, that the process had at most.
double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  double kib = 0;
  for (std::string key, rest; status >> key; std::getline(status, rest))
    if (key == "VmHWM:") status >> kib;
  return kib * 1024 / 1e6;
}

/// In a process of its own: prints memory before the load, its time, the processors' time, and memory behind it.
int load_once(const fs::path& kept, const fs::path& model, const std::string& adapter) {
  ab::torch::LoadOptions options;
  options.weights = ab::torch::Weights::int8;
  options.weight_cache.folder = kept;
  if (!adapter.empty()) options.adapter = adapter;
  const double before = peak_megabytes();
  const std::clock_t begin = std::clock();
  const double seconds = ab::bench::seconds([&] { ab::torch::CausalLm::load(model, options); });
  const double worked = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.6f %.6f %.6f %.6f\n", before, seconds, worked, peak_megabytes());
  return 0;
}

struct Figures {
  std::vector<double> before, seconds, worked, peak;
};

bool measure(const std::string& command, Figures& figures) {
  std::FILE* const child = ::popen(command.c_str(), "r");
  if (child == nullptr) return false;
  std::array<double, 4> read{};
  const bool all = std::fscanf(child, "%lf %lf %lf %lf", &read[0], &read[1], &read[2], &read[3]) == 4;
  if (::pclose(child) != 0 || !all) return false;
  figures.before.push_back(read[0]);
  figures.seconds.push_back(read[1]);
  figures.worked.push_back(read[2]);
  figures.peak.push_back(read[3]);
  return true;
}

void print(const char* name, const char* unit, const std::vector<double>& values) {
  const Spread s = spread_of(values);
  const int digits = *unit == 's' ? 3 : 0;
  std::printf("%s: %.*f %s (%.*f..%.*f)\n", name, digits, s.median, unit, digits, s.min, digits, s.max);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  if (argc == 5 && words[1] == "--once") return load_once(words[2], words[3], words[4]);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  if (rounds < 1) return std::fprintf(stderr, "rounds: 1 or more, not '%s'\n", argv[1]), 2;
  const std::string model = argc > 2 ? words[2] : ANABRANCH_MODEL_DIR, adapter = argc > 3 ? words[3] : "";
  const fs::path kept = fs::temp_directory_path() / ("anabranch_bench_load_" + std::to_string(::getpid()));
  std::printf("How long does a model load, and in what memory?\nmachine: %s; %s; %d rounds\n",
              ab::bench::processor().c_str(), model.c_str(), rounds);
  const std::string command = "'" + fs::read_symlink("/proc/self/exe").string() + "' --once '" + kept.string() + "' '" +
                              model + "' '" + adapter + "'";
  Figures first, later;
  bool good = true;
  for (int i = 0; i < rounds && good; ++i) {
    fs::remove_all(kept);
    good = measure(command, first) && measure(command, later);
  }
  fs::remove_all(kept);
  if (!good) {
    std::fprintf(stderr, "a load failed: %s\n", command.c_str());
    return 1;
  }
  print("memory before a load", "MB", later.before);
  print("first load, time", "s", first.seconds);
  print("first load, processors' time", "s", first.worked);
  print("first load, peak of memory", "MB", first.peak);
  print("later load, peak of memory", "MB", later.peak);
  print("later load, processors' time", "s", later.worked);
  print("load", "s", later.seconds);
  return 0;
}
