// What the Python test asks of the library:
//
//     anabranch_adapter_host logits MODEL ADAPTER FILE TOKEN...    writes float32 [n_tokens, vocabulary]; ADAPTER may
//     be -
//     anabranch_adapter_host logits-of N MODEL ADAPTER FILE TOKEN...    the same, loaded for N positions
//     anabranch_adapter_host copy ADAPTER FOLDER f32|bf16          reads an adapter and writes it again
//     anabranch_adapter_host merge MODEL ADAPTER FOLDER            writes the merged model
//     anabranch_adapter_host batch FILE                            such calls, a line each; an error is written to
//     standard output, with the line's number, and the next line runs
#include <cstdio>
#include <exception>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/hf/merged_folder.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace ab = anabranch;

namespace {

using Words = std::vector<std::string>;

void write_logits(const Words& words, std::optional<ab::Position> max_positions = {}) {
  ab::torch::LoadOptions options{.weights = ab::torch::Weights::float32, .max_positions = max_positions};
  if (words[3] != "-") options.adapter = words[3];
  ab::torch::CausalLm model = ab::torch::CausalLm::load(words[2], options);
  std::vector<ab::TokenId> tokens;
  for (std::size_t i = 5; i < words.size(); ++i) tokens.push_back(std::stoi(words[i]));
  ab::KvCache cache({.n_pages = 64});
  ab::Step step = cache.begin_step();
  step.append(step.create_sequence(), tokens, ab::Logits::all);
  const ab::PlanResult plan = step.plan();
  if (!plan) ab::fail(ab::Status::no_room, "more tokens than the program has room for");
  const ab::LogitsView logits = model(*plan);
  std::ofstream file(words[4], std::ios::binary);
  for (std::int32_t row = 0; row < static_cast<std::int32_t>(tokens.size()); ++row)
    file.write(reinterpret_cast<const char*>(logits.row(row).data()),
               static_cast<std::streamsize>(logits.row(row).size_bytes()));
}

void run(const Words& words) {
  if (words.size() > 5 && words[1] == "logits") return write_logits(words);
  if (words.size() > 6 && words[1] == "logits-of") {
    Words rest = words;
    rest.erase(rest.begin() + 2);
    return write_logits(rest, std::stoi(words[2]));
  }
  if (words.size() == 5 && words[1] == "copy")
    return ab::hf::Adapter::load(words[2]).save(words[3],
                                                words[4] == "bf16" ? ab::hf::Dtype::bf16 : ab::hf::Dtype::f32);
  if (words.size() == 5 && words[1] == "merge")
    return static_cast<void>(ab::hf::write_merged_folder({words[2], words[3], words[4], ab::hf::Dtype::f32}));
  ab::fail(ab::Status::bad_argument, "see the first lines of adapter_host.cpp");
}

void run_batch(const std::string& file) {
  std::ifstream lines(file);
  int number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    std::istringstream parts(line);
    Words words{""};
    for (std::string word; parts >> word;) words.push_back(word);
    try {
      run(words);
    } catch (const ab::Error& error) {
      std::printf("%d %s: %s\n", number, ab::status_name(error.status()), error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::string(argv[1]) == "batch")
      run_batch(argv[2]);
    else
      run(Words(argv, argv + argc));
  } catch (const ab::Error& error) {
    std::fprintf(stderr, "%s: %s\n", ab::status_name(error.status()), error.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
