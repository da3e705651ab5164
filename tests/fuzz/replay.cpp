// Feeds files to the fuzz target, for compilers without libFuzzer: PROGRAM FILE_OR_FOLDER...
//
// Ends with what the inputs reached: how often each function gave each status. A corpus in which some function never
// works has been lost, and fails.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "world.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n);

namespace {

constexpr std::size_t kFunctions = 38;  // that the fuzzer calls and that give a status

std::vector<std::filesystem::path> files_of(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// How many functions gave ANB_OK.
std::size_t print_tally() {
  std::size_t n_working = 0;
  for (const auto& [name, counts] : fuzz::tally()) {
    std::printf("%-28s", name.c_str());
    for (std::size_t s = 0; s < counts.size(); ++s)
      if (counts[s] > 0)
        std::printf(" %s %lld", anb_status_name(static_cast<anb_status>(s)), static_cast<long long>(counts[s]));
    std::printf("\n");
    n_working += counts[ANB_OK] > 0 ? 1 : 0;
  }
  return n_working;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::filesystem::path> files = files_of(argc, argv);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::fprintf(stderr, "cannot read %s\n", file.c_str()), 2;
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  const std::size_t n_working = print_tally();
  std::printf("%zu inputs; %zu of %zu functions worked in one of them\n", files.size(), n_working, kFunctions);
  return n_working == kFunctions || files.size() == 1 ? 0 : 1;
}
