// Runs the tokenizer fuzzer without libFuzzer: PROGRAM FOLDER N, the files of a folder and N changes of each.
// PROGRAM FILE: the input in a file.
//
// Ends with what the inputs reached; a corpus that is refused, or whose changes are refused for few reasons, has lost
// its way, and fails.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "json_changes.hpp"
#include "tokenizer_fuzz.hpp"

namespace {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return run(content_of(argv[1])), 0;
  if (argc != 3) return std::fprintf(stderr, "%s FOLDER N | FILE\n", argv[0]), 2;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  const fuzz::TokenizerTally& tally = fuzz::tokenizer_tally();
  for (const auto& file : files) run(content_of(file));
  const std::size_t n_good = tally.n_accepted;
  std::mt19937_64 random(1);
  for (const auto& file : files) {
    const std::string content = content_of(file);
    for (long n = std::strtol(argv[2], nullptr, 10); n > 0; --n) run(fuzz::changed_json(content, random));
  }
  for (const auto& [text, n] : tally.refused) std::printf("%8zu %s\n", n, text.c_str());
  std::printf(
      "%zu files, %zu of them good; %zu inputs, %zu accepted, refused for %zu reasons; at most %zu bytes of memory for "
      "one of a file\n",
      files.size(), n_good, tally.n_inputs, tally.n_accepted, tally.refused.size(), tally.most_memory);
  return n_good * 2 > files.size() && tally.n_accepted * 20 > tally.n_inputs && tally.refused.size() > 40 ? 0 : 1;
}
