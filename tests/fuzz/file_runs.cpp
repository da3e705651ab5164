// Reads files of one kind, as they are and changed at random, without libFuzzer: PROGRAM KIND CHANGES PATH...
//
// PATH is a file or a folder of files. CHANGES: how many changed files are made of each; always the same ones. An input
// that breaks a promise stays in the file anabranch-fuzz-KIND.
//
// Ends with what the inputs reached. Files of which none is taken, or whose changes are refused for few reasons, have
// lost their way: that fails.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "file_changes.hpp"
#include "file_kinds.hpp"

namespace {

namespace fs = std::filesystem;

std::string g_kind, g_input;

void keep_input(int) {
  std::ofstream("anabranch-fuzz-" + g_kind, std::ios::binary) << g_input;
  std::fprintf(stderr, "the input is in the file anabranch-fuzz-%s\n", g_kind.c_str());
}

std::vector<std::string> inputs_of(char** paths, int n) {
  std::vector<fs::path> files;
  for (int i = 0; i < n; ++i) {
    if (!fs::is_directory(paths[i]))
      files.emplace_back(paths[i]);
    else
      for (const auto& entry : fs::directory_iterator(paths[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    if (file.extension() == ".jinja") inputs.back().insert(0, "\x07\x01");  // the messages and options
  }
  return inputs;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "%s KIND CHANGES PATH...\n", argv[0]), 2;
  const fuzz::FileKind& kind = fuzz::file_kind(argv[1]);
  g_kind = argv[1];
  std::signal(SIGABRT, keep_input);
  const std::vector<std::string> inputs = inputs_of(argv + 3, argc - 3);
  fuzz::FileTally tally;
  const auto read = [&](std::string bytes) {
    g_input = std::move(bytes);
    fuzz::read_file(kind, g_input, tally);
  };
  for (const std::string& input : inputs) read(input);
  const std::size_t n_good = tally.n_taken;
  std::mt19937_64 random(20261130);
  const long n_changes = std::strtol(argv[2], nullptr, 10);
  for (const std::string& input : inputs)
    for (long n = n_changes; n > 0; --n) read(fuzz::changed_file(kind.format, input, inputs, random));
  for (const auto& [reason, n] : tally.refused) std::printf("%8zu %s\n", n, reason.c_str());
  std::printf("%s: %zu files, %zu of them good; %zu inputs, %zu taken, refused for %zu reasons\n", argv[1],
              inputs.size(), n_good, tally.n_inputs, tally.n_taken, tally.refused.size());
  if (n_changes == 0) return 0;
  return n_good * 3 > inputs.size() && tally.n_taken * 50 > tally.n_inputs && tally.refused.size() >= kind.n_reasons
             ? 0
             : 1;
}
