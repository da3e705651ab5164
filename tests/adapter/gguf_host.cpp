// What the Python tests of GGUF files ask of both hosts:
//
//     anabranch_gguf_host greedy torch|llama MODEL N FILE TOKEN...    writes the N likeliest next tokens to standard
//     output, and to FILE the logits that chose them: float32 [N, vocabulary]
//     anabranch_gguf_host answer torch|llama MODEL QUESTION           writes the answer in skeleton markup, greedily
//     anabranch_gguf_host tokens MODEL FILE                           of each line of FILE, a text in JSON, the tokens
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <llama.h>
#include <nlohmann/json.hpp>

#include <anabranch/anabranch.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/llama/generate.hpp>
#include <anabranch/llama/gguf_model.hpp>
#include <anabranch/torch/generate.hpp>

namespace ab = anabranch;

namespace {

using Words = std::vector<std::string>;
using Tokens = std::vector<ab::TokenId>;

ab::torch::CausalLm load_torch(const std::string& file) {
  return ab::torch::CausalLm::load(file, {.weights = ab::torch::Weights::float32});
}
ab::llama::GgufModel load_llama(const std::string& file) {
  return ab::llama::GgufModel::load(
      file, {.n_cells = 1024, .n_seq_ids = 32, .n_threads = 1, .cells = ab::llama::CellType::float32});
}

/// Calls next(tokens) for the prompt and then for each token that it chose; it gives the logits behind them.
template <class Next>
void decode(Tokens tokens, int n, const std::string& file, const Next& next) {
  std::ofstream out(file, std::ios::binary);
  for (int i = 0; i < n; ++i) {
    const std::span<const float> logits = next(tokens);
    out.write(reinterpret_cast<const char*>(logits.data()), static_cast<std::streamsize>(logits.size_bytes()));
    tokens = {static_cast<ab::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
    std::printf("%d\n", tokens.front());
  }
}

void greedy_torch(const std::string& model_file, const Tokens& tokens, int n, const std::string& file) {
  ab::torch::CausalLm model = load_torch(model_file);
  ab::KvCache cache({.n_pages = 128});
  const ab::SequenceId sequence = cache.create_sequence();
  decode(tokens, n, file, [&](const Tokens& more) {
    ab::Step step = cache.begin_step();
    step.append(sequence, more, ab::Logits::last);
    const ab::PlanResult plan = step.plan();
    if (!plan) ab::fail(ab::Status::no_room, "more tokens than the program has room for");
    const std::span<const float> logits = model(*plan).row(0);
    step.commit();
    return logits;
  });
}

void greedy_llama(const std::string& model_file, const Tokens& tokens, int n, const std::string& file) {
  const ab::llama::GgufModel model = load_llama(model_file);
  decode(tokens, n, file, [&](Tokens more) {
    for (std::size_t done = 0; done < more.size();) {
      const std::size_t part = std::min<std::size_t>(more.size() - done, 256);
      if (llama_decode(model.context(), llama_batch_get_one(more.data() + done, static_cast<std::int32_t>(part))) != 0)
        ab::fail(ab::Status::internal, "llama_decode failed");
      done += part;
    }
    return std::span<const float>(llama_get_logits_ith(model.context(), -1),
                                  static_cast<std::size_t>(model.vocabulary().n_tokens()));
  });
}

ab::GenerateOptions skeleton() {
  ab::GenerateOptions options;
  options.markup = ab::MarkupKind::skeleton;
  options.positions = ab::Positions::longest;
  options.max_branches = 3;
  options.request.max_tokens = 120;
  options.request.max_branch_tokens = 24;
  return options;
}

void print_tokens(const std::string& model, const std::string& file) {
  const ab::hf::Tokenizer tokenizer = ab::hf::Tokenizer::load(model);
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    for (const ab::TokenId token : tokenizer.encode(nlohmann::json::parse(line).get<std::string>()))
      std::printf("%d ", token);
    std::printf("\n");
  }
}

void run(const Words& words) {
  if (words.size() > 6 && words[1] == "greedy") {
    Tokens tokens;
    for (std::size_t i = 6; i < words.size(); ++i) tokens.push_back(std::stoi(words[i]));
    (words[2] == "torch" ? greedy_torch : greedy_llama)(words[3], tokens, std::stoi(words[4]), words[5]);
  } else if (words.size() == 5 && words[1] == "answer" && words[2] == "torch") {
    ab::torch::CausalLm model = load_torch(words[3]);
    std::printf("%s", ab::torch::generate(model, words[4], skeleton()).text.c_str());
  } else if (words.size() == 5 && words[1] == "answer") {
    const ab::llama::GgufModel model = load_llama(words[3]);
    std::printf("%s", ab::llama::generate(model, words[4], skeleton()).text.c_str());
  } else if (words.size() == 4 && words[1] == "tokens") {
    print_tokens(words[2], words[3]);
  } else {
    ab::fail(ab::Status::bad_argument, "see the first lines of gguf_host.cpp");
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(Words(argv, argv + argc));
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
  return 0;
}
