// Reads the inputs of all kinds of files, as they are and changed at random, without libFuzzer: PROGRAM FOLDER CHANGES
//
// FOLDER has a folder for each kind. CHANGES: how many changed files are made of each input; always the same ones.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "file_kinds.hpp"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> inputs_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> inputs;
  for (const fs::path& path : paths) {
    std::ifstream in(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return inputs;
}

class Changer {
 public:
  explicit Changer(const std::vector<Bytes>& inputs) : inputs_(inputs) {}

  Bytes change(Bytes bytes) {
    for (std::size_t n = 1 + draw(4); n > 0; --n) change_once(bytes);
    return bytes;
  }

 private:
  std::size_t draw(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  void change_once(Bytes& bytes) {
    static constexpr char kMarks[] = "{}[],:\"0123456789-.eE\\tfn()*+?|^$\n\xff";
    const auto place = static_cast<std::ptrdiff_t>(draw(bytes.size() + 1));
    const auto end = place + static_cast<std::ptrdiff_t>(
                                 draw(std::min<std::size_t>(32, bytes.size() + 1 - static_cast<std::size_t>(place))));
    switch (draw(6)) {
      case 0: bytes.erase(bytes.begin() + place, bytes.begin() + end); break;
      case 1: bytes.insert(bytes.begin() + place, static_cast<std::uint8_t>(kMarks[draw(sizeof kMarks - 1)])); break;
      case 2:
        if (place < std::ssize(bytes)) bytes[static_cast<std::size_t>(place)] = static_cast<std::uint8_t>(random_());
        break;
      case 3: {
        const Bytes& other = inputs_[draw(inputs_.size())];
        const std::size_t from = draw(other.size()), n = draw(std::min<std::size_t>(64, other.size() - from + 1));
        bytes.insert(bytes.begin() + place, other.begin() + static_cast<std::ptrdiff_t>(from),
                     other.begin() + static_cast<std::ptrdiff_t>(from + n));
        break;
      }
      case 4: {
        const Bytes part(bytes.begin() + place, bytes.begin() + end);
        for (std::size_t n = draw(40); n > 0; --n) bytes.insert(bytes.begin() + place, part.begin(), part.end());
        break;
      }
      default:
        for (std::ptrdiff_t i = place; i < end; ++i)
          if (bytes[static_cast<std::size_t>(i)] >= '0' && bytes[static_cast<std::size_t>(i)] <= '9')
            bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>('0' + draw(10));
    }
  }

  const std::vector<Bytes>& inputs_;
  std::mt19937 random_{20261130};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "see the first lines of file_runs.cpp\n"), 2;
  for (const fuzz::FileKind& kind : fuzz::file_kinds()) {
    const std::vector<Bytes> inputs = inputs_of(fs::path(argv[1]) / kind.name);
    const fuzz::FileReader reader(kind);
    Changer changer(inputs);
    int n_taken = 0, n_changed = 0, n_changed_taken = 0;
    for (const Bytes& input : inputs) {
      n_taken += reader.read(input.data(), input.size()) ? 1 : 0;
      for (int i = std::atoi(argv[2]); i > 0; --i, ++n_changed) {
        const Bytes changed = changer.change(input);
        n_changed_taken += reader.read(changed.data(), changed.size()) ? 1 : 0;
      }
    }
    std::printf("%s: %zu inputs, %d taken; %d changed ones, %d taken\n", std::string(kind.name).c_str(), inputs.size(),
                n_taken, n_changed, n_changed_taken);
    if (n_taken == 0) return std::fprintf(stderr, "no input of kind %s is taken\n", std::string(kind.name).c_str()), 1;
  }
  return 0;
}
