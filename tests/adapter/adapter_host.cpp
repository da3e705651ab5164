// What the Python test asks of the library:
//
//     anabranch_adapter_host logits MODEL ADAPTER FILE TOKEN...    writes float32 [n_tokens, vocabulary]; ADAPTER may
//     be - anabranch_adapter_host copy ADAPTER FOLDER f32|bf16          reads an adapter and writes it again
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/hf/adapter.hpp>
#include <anabranch/torch/causal_lm.hpp>

namespace ab = anabranch;

namespace {

using Words = std::vector<std::string>;

void write_logits(const Words& words) {
  ab::torch::LoadOptions options{.weights = ab::torch::Weights::float32};
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
  if (words.size() == 5 && words[1] == "copy")
    return ab::hf::Adapter::load(words[2]).save(words[3],
                                                words[4] == "bf16" ? ab::hf::Dtype::bf16 : ab::hf::Dtype::f32);
  ab::fail(ab::Status::bad_argument, "see the first lines of adapter_host.cpp");
}

}  // namespace

int main(int argc, char** argv) {
  try {
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
