// What the Python tests of GGUF files ask of both hosts:
//
//     anabranch_gguf_host greedy torch|llama MODEL N FILE TOKEN...
//
// writes the N likeliest next tokens to standard output, and to FILE the logits that chose them: float32 [N,
// vocabulary].
//
//     anabranch_gguf_host branches torch|llama MODEL FILE
//
// writes the greedy answer to the text in FILE, in skeleton markup, as JSON: prompt, trunk (before the fork) and
// branches with tokens and their log-probabilities, null where a token was forced.
//
//     anabranch_gguf_host tokens MODEL FILE
//
// writes the tokens of each line of FILE, a text in JSON.
//
//     anabranch_gguf_host trees MODEL FIRST N
//
// runs random trees through both hosts: gguf_trees.hpp.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <llama.h>
#include <nlohmann/json.hpp>

#include <anabranch/anabranch.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/llama/generate.hpp>
#include <anabranch/llama/gguf_model.hpp>
#include <anabranch/torch/generate.hpp>

#include "gguf_trees.hpp"

namespace ab = anabranch;

namespace {

using Words = std::vector<std::string>;
using Tokens = std::vector<ab::TokenId>;

ab::torch::CausalLm load_torch(const std::string& file) {
  return ab::torch::CausalLm::load(file, {.weights = ab::torch::Weights::float32});
}
ab::llama::GgufModel load_llama(const std::string& file) {
  return ab::llama::GgufModel::load(
      file, {.n_cells = 2048, .n_seq_ids = 32, .n_threads = 1, .cells = ab::llama::CellType::float32});
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

/// Runs llama.cpp over the tokens, some at a time.
void decode_parts(const ab::llama::GgufModel& model, Tokens tokens) {
  for (std::size_t done = 0; done < tokens.size();) {
    const std::size_t part = std::min<std::size_t>(tokens.size() - done, 256);
    if (llama_decode(model.context(), llama_batch_get_one(tokens.data() + done, static_cast<std::int32_t>(part))) != 0)
      ab::fail(ab::Status::internal, "llama_decode failed");
    done += part;
  }
}

void greedy_llama(const std::string& model_file, const Tokens& tokens, int n, const std::string& file) {
  const ab::llama::GgufModel model = load_llama(model_file);
  decode(tokens, n, file, [&](const Tokens& more) {
    decode_parts(model, more);
    return std::span<const float>(llama_get_logits_ith(model.context(), -1),
                                  static_cast<std::size_t>(model.vocabulary().n_tokens()));
  });
}

struct BranchTokens {
  Tokens tokens;
  nlohmann::json log_probabilities = nlohmann::json::array();
};

/// `generate` answers with the options; `prompt` is what it gives the model.
template <class Generate>
void print_branches(const Tokens& prompt, const Generate& generate) {
  Tokens trunk;
  std::map<ab::BranchIndex, BranchTokens> branches;
  bool forked = false;
  ab::GenerateOptions options;
  options.markup = ab::MarkupKind::skeleton;
  options.positions = ab::Positions::longest;
  options.max_branches = 3;
  options.request.max_tokens = 100;
  options.request.max_branch_tokens = 12;
  options.request.n_log_probabilities = 1;
  options.on_event = [&](const ab::Event& event) {
    forked = forked || event.kind == ab::Event::Kind::fork;
    if (event.kind != ab::Event::Kind::token) return;
    if (event.branch == ab::kTrunk) {
      if (!forked) trunk.push_back(event.token);
      return;
    }
    const bool sampled = event.source == ab::Source::sampled;
    branches[event.branch].tokens.push_back(event.token);
    branches[event.branch].log_probabilities.push_back(sampled ? nlohmann::json(event.log_probability) : nullptr);
  };
  const std::string text = generate(options).text;
  nlohmann::json out{{"prompt", prompt}, {"trunk", trunk}, {"text", text}, {"branches", nlohmann::json::array()}};
  for (const auto& [index, branch] : branches)
    out["branches"].push_back({{"tokens", branch.tokens}, {"log_probabilities", branch.log_probabilities}});
  std::printf("%s\n", out.dump().c_str());
}

void print_branches(const std::string& host, const std::string& model_file, const std::string& file) {
  std::ifstream in(file);
  const std::string question{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::vector<ab::hf::Message> messages{{"user", question}};
  if (host == "torch") {
    ab::torch::CausalLm model = load_torch(model_file);
    print_branches(ab::hf::encode_chat(model.text().tokenizer, model.text().chat, messages),
                   [&](const ab::GenerateOptions& options) { return ab::torch::generate(model, question, options); });
    return;
  }
  const ab::llama::GgufModel model = load_llama(model_file);
  print_branches(model.vocabulary().encode_chat(messages),
                 [&](const ab::GenerateOptions& options) { return ab::llama::generate(model, question, options); });
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

Tokens tokens_from(const Words& words, std::size_t first) {
  Tokens tokens;
  for (std::size_t i = first; i < words.size(); ++i) tokens.push_back(std::stoi(words[i]));
  return tokens;
}

void run(const Words& words) {
  if (words.size() > 6 && words[1] == "greedy")
    (words[2] == "torch" ? greedy_torch : greedy_llama)(words[3], tokens_from(words, 6), std::stoi(words[4]), words[5]);
  else if (words.size() == 5 && words[1] == "branches")
    print_branches(words[2], words[3], words[4]);
  else if (words.size() == 4 && words[1] == "tokens")
    print_tokens(words[2], words[3]);
  else if (words.size() == 5 && words[1] == "trees")
    ab::test::compare_trees(words[2], static_cast<std::uint32_t>(std::stoul(words[3])), std::stoi(words[4]));
  else
    ab::fail(ab::Status::bad_argument, "see the first lines of gguf_host.cpp");
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
