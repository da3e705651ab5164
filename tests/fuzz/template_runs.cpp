// Runs the fuzzer of chat templates without libFuzzer: PROGRAM FOLDER... SEED N. Every file of the folders as it is,
// then N changed ones: bytes of one replaced, pieces of two joined.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n);

namespace {

std::string g_input;

void run(const std::string& text) {
  g_input = text;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::string changed(const std::vector<std::string>& inputs, std::mt19937_64& random) {
  static const std::vector<std::string> kPieces{"{{ ",
                                                " }}",
                                                "{% for m in messages %}",
                                                "{% endfor %}",
                                                "{%- if ",
                                                " -%}",
                                                "{% set x = ",
                                                " | trim",
                                                ".split('",
                                                "[::-1]",
                                                " ~ ",
                                                " not in ",
                                                "namespace(a=1)",
                                                "loop.",
                                                "| tojson",
                                                "(",
                                                ")",
                                                "'",
                                                "messages",
                                                "none"};
  std::string text = inputs[random() % inputs.size()];
  for (std::uint64_t n = 1 + random() % 6; n > 0 && !text.empty(); --n) {
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.insert(at, kPieces[random() % kPieces.size()]); break;
      case 2: text.erase(at, random() % 40); break;
      default: {
        const std::string& other = inputs[random() % inputs.size()];
        text = text.substr(0, at) + other.substr(other.empty() ? 0 : random() % other.size());
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "%s FOLDER... SEED N\n", argv[0]), 2;
  std::vector<std::string> inputs;
  for (int i = 1; i < argc - 2; ++i) {
    if (!std::filesystem::is_directory(argv[i])) continue;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
      if (entry.path().extension() == ".jinja") inputs.back().insert(0, "\x07\x01");
      run(inputs.back());
    }
  }
  if (inputs.empty()) return std::fprintf(stderr, "no inputs\n"), 2;
  std::mt19937_64 random(std::strtoull(argv[argc - 2], nullptr, 10));
  for (long n = std::strtol(argv[argc - 1], nullptr, 10); n > 0; --n) run(changed(inputs, random));
  std::printf("%zu inputs as they are, %s changed ones\n", inputs.size(), argv[argc - 1]);
  return 0;
}
