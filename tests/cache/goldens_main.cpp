// anabranch_goldens FILE: do the cache and the planner agree with golden positions and masks?
//
// Exit status: 0 when all cases agree in every drive, 1 when one does not (or there is none), 2 when the file is bad.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "golden_drive.hpp"

namespace {

using namespace anabranch::test;

constexpr std::size_t kMaxShown = 5;  // per case and drive

const char* mode_name(GoldenMode mode) {
  switch (mode) {
    case GoldenMode::normal: return "normal";
    case GoldenMode::max_para: return "max_para";
    case GoldenMode::fixrange: return "fixrange";
  }
  return "?";
}

/// True when every drive of the case agrees; prints each difference otherwise.
bool agrees(const GoldenCase& golden, const char* file) {
  bool all = true;
  for (const GoldenDrive& drive : kGoldenDrives) {
    const std::vector<std::string> found = disagreements(golden, drive);
    for (std::size_t i = 0; i < found.size() && i < kMaxShown; ++i)
      std::printf("%s:%d: %s, %s: %s\n", file, golden.line, mode_name(golden.mode), drive.name, found[i].c_str());
    if (found.size() > kMaxShown) std::printf("%s:%d: ... and %zu more\n", file, golden.line, found.size() - kMaxShown);
    all = all && found.empty();
  }
  return all;
}

int run(const char* file) {
  std::ifstream in(file);
  if (!in) throw GoldenFileError(std::string(file) + ": cannot be opened");
  const std::vector<GoldenCase> cases = read_golden_cases(in, file);
  std::size_t n_agreed = 0;
  for (const GoldenCase& golden : cases) n_agreed += agrees(golden, file) ? 1 : 0;
  std::printf("%zu of %zu agree\n", n_agreed, cases.size());
  return n_agreed == cases.size() && !cases.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: anabranch_goldens FILE\nFILE: JSON lines, see tests/goldens/README.md\n");
    return 2;
  }
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "anabranch_goldens: %s\n", error.what());
    return 2;
  }
}
