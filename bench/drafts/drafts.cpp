// Question: how much faster are answers about documents with copied drafts, and are they the same?
//
// Bar: the same texts, and no kind of question that is slower by more than 2 %. Each question is answered without and
// with drafts in turns, by one process; the first answers, of each side, are not counted. The time is that behind the
// prompt: drafts do not change what a prompt takes. The model, its type of weights and the documents are arguments:
//
//   bench/run drafts [rounds] [model folder] [int8|f32|bf16] [questions, one JSON object a line]
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <anabranch/torch/generate.hpp>

#include "../measure.hpp"

namespace {

namespace ab = anabranch;
using ab::bench::Spread;
using ab::bench::spread_of;

struct Question {
  std::string kind, text;
};

std::vector<Question> read(const std::string& path) {
  std::ifstream file(path);
  std::vector<Question> questions;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    questions.push_back({json.value("kind", "question"), json.at("question")});
  }
  return questions;
}

/// The sums of the answers to one question.
struct Side {
  std::vector<double> rates;  ///< tokens a second behind the prompt
  ab::Answer answer;          ///< the last one

  void add(ab::Answer next) {
    rates.push_back(next.statistics.n_sampled / (next.seconds - next.prefill_seconds));
    answer = std::move(next);
  }
};

ab::Answer answer(ab::torch::CausalLm& model, const Question& question, ab::DraftKind drafts) {
  ab::GenerateOptions options;
  options.markup = ab::MarkupKind::serial;
  options.request.max_tokens = 200;
  options.drafts = drafts;
  return ab::torch::generate(model, question.text, options);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  if (rounds < 1) return std::fprintf(stderr, "rounds: 1 or more, not '%s'\n", argv[1]), 2;
  const std::string folder = argc > 2 ? words[2] : ANABRANCH_MODEL_DIR;
  const std::map<std::string, ab::torch::Weights> types = {
      {"int8", ab::torch::Weights::int8}, {"f32", ab::torch::Weights::float32}, {"bf16", ab::torch::Weights::bfloat16}};
  const std::string type = argc > 3 ? words[3] : "int8";
  if (types.count(type) == 0) return std::fprintf(stderr, "weights: int8, f32 or bf16, not '%s'\n", type.c_str()), 2;
  const std::vector<Question> questions = read(argc > 4 ? words[4] : ANABRANCH_DOCUMENTS);
  ab::torch::CausalLm model = ab::torch::CausalLm::load(folder, {.weights = types.at(type)});
  std::printf(
      "How much faster are answers about documents with copied drafts?\nmachine: %s; %s, %s; %zu questions, %d "
      "rounds\n",
      ab::bench::processor().c_str(), folder.c_str(), type.c_str(), questions.size(), rounds);
  std::printf("%-10s %7s %8s %8s %8s %8s %9s %9s %7s\n", "kind", "prompt", "sampled", "drafted", "accepted", "passes",
              "tokens/s", "drafts", "ratio");
  std::vector<double> ratios;
  bool same = true;
  for (const Question& question : questions) {
    Side without, with;
    for (int round = 0; round <= rounds; ++round) {
      ab::Answer plain = answer(model, question, ab::DraftKind::off),
                 drafted = answer(model, question, ab::DraftKind::copy);
      if (round == 0) continue;
      without.add(std::move(plain));
      with.add(std::move(drafted));
    }
    same = same && with.answer.tokens == without.answer.tokens;
    const ab::Statistics& s = with.answer.statistics;
    const double before = spread_of(without.rates).median, after = spread_of(with.rates).median;
    ratios.push_back(after / before);
    std::printf("%-10s %7d %8d %8d %8d %8d %9.1f %9.1f %7.2f%s\n", question.kind.c_str(), s.n_prompt, s.n_sampled,
                s.n_drafted, s.n_accepted, s.n_passes, before, after, after / before,
                with.answer.tokens == without.answer.tokens ? "" : "  OTHER TEXT");
    std::fflush(stdout);
  }
  const Spread s = spread_of(ratios);
  std::printf("drafts: %.2f times the tokens/s (%.2f..%.2f)%s\n", s.median, s.min, s.max, same ? "" : "; OTHER TEXTS");
  return same ? 0 : 1;
}
