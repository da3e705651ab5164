// Compares tokenizers with what generate_tokenizers.py says of them: PROGRAM FILE, or - for the standard input.
#include <cstdio>
#include <fstream>
#include <iostream>

#include "generated.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "%s FILE\n", argv[0]), 2;
  std::ifstream file;
  const bool from_file = std::string_view(argv[1]) != "-";
  if (from_file) file.open(argv[1]);
  test::Tally tally;
  int n_different = 0;
  for (std::string line; std::getline(from_file ? file : std::cin, line);) {
    const std::string difference = test::first_difference(nlohmann::json::parse(line), tally);
    if (difference.empty()) continue;
    if (++n_different <= 20) std::printf("%s\n", difference.c_str());
  }
  std::printf("%d tokenizers, %d texts, %d lists of ids: %d differ\n", tally.n_tokenizers, tally.n_texts, tally.n_lists,
              n_different);
  return n_different == 0 && tally.n_texts > 0 ? 0 : 1;
}
