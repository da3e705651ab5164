// Answers questions in several ways and writes one JSON line per answer: text, branches, markup faults, tokens, passes,
// seconds. examples/train/report.py makes tables of them.
//
// The ways take turns, question by question, so that what a machine does meanwhile meets all of them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include <CLI/CLI.hpp>
#include <anabranch/error.hpp>

#include "../../common/guarded.hpp"
#include "../../common/json_lines.hpp"
#include "../../common/line_file.hpp"
#include "../../common/numbers.hpp"
#include "../../common/usage.hpp"
#include "answer_questions.hpp"
#include "text_loss.hpp"

namespace {

namespace ab = anabranch;
using ab::torch::CausalLm;

struct Arguments {
  std::string model;
  std::string adapter;
  std::string serial_adapter;
  std::vector<std::string> questions;
  std::string out;
  std::size_t most = 0;
  std::int32_t n_threads = 0;
  // All of it stated: whatever a model's own settings are, the ways are compared with the same ones.
  anabranch::RequestOptions request{
      .sampling =
          {.temperature = 0.0f, .top_k = 0, .top_p = 1.0f, .min_p = 0.0f, .repetition_penalty = 1.0f, .seed = 1},
      .max_tokens = 640,
      .max_branch_tokens = 160,
      .no_repeat_ngram = 0};
};

void add_options(CLI::App& app, Arguments& a) {
  app.add_option("--model", a.model, "Hugging Face folder")->required();
  app.add_option("--adapter", a.adapter, "adapter that branches")->required();
  app.add_option("--serial-adapter", a.serial_adapter, "adapter trained on the same answers as plain text");
  app.add_option("--questions", a.questions, "JSON lines of our own or FastChat's; several files")->required();
  app.add_option("--out", a.out, "JSON lines; what is there already is not done again")->required();
  app.add_option("--most", a.most, "only the first so many questions of each file; 0: all")
      ->check(example::at_least(0));
  app.add_option("--temperature", *a.request.sampling.temperature, "0: greedy")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--top-p", *a.request.sampling.top_p, "of sampling")->check(example::share())->capture_default_str();
  app.add_option("--no-repeat-ngram", a.request.no_repeat_ngram, "groups of so many tokens are not written again")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--repetition-penalty", *a.request.sampling.repetition_penalty, "over the answer so far")
      ->check(example::above(0))
      ->capture_default_str();
  app.add_option("--seed", a.request.sampling.seed, "of sampling")->check(example::at_least(0))->capture_default_str();
  app.add_option("--max-tokens", a.request.max_tokens, "of an answer")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--max-branch-tokens", a.request.max_branch_tokens, "of a branch")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--threads", a.n_threads, "0: all cores")->check(example::at_least(0))->capture_default_str();
}

/// A model and the ways in which it answers.
struct Contestant {
  CausalLm model;
  std::vector<evaluate::Way> ways;
};

const std::vector<evaluate::Way> kBranching{{"aspd", false, -1}, {"aspd one after another", false, 1}};
const evaluate::Way kSerialAdapter{"v-seq", true, -1}, kUntouched{"untouched", true, -1};

std::vector<evaluate::Way> ways(const Arguments& a) {
  std::vector<evaluate::Way> all = kBranching;
  if (!a.serial_adapter.empty()) all.push_back(kSerialAdapter);
  all.push_back(kUntouched);
  return all;
}

std::vector<Contestant> contestants(const Arguments& a) {
  std::vector<Contestant> all;
  const auto load = [&](const std::string& adapter) {
    ab::torch::LoadOptions options{.n_threads = a.n_threads};
    if (!adapter.empty()) options.adapter = adapter;
    return CausalLm::load(a.model, options);
  };
  all.push_back({load(a.adapter), kBranching});
  if (!a.serial_adapter.empty()) all.push_back({load(a.serial_adapter), {kSerialAdapter}});
  all.push_back({load(""), {kUntouched}});
  return all;
}

/// The first answers of a process pay for memory and threads; these are not measured, and short.
void warm_up(std::vector<Contestant>& all, const evaluate::Question& question, anabranch::RequestOptions request) {
  request.max_tokens = std::clamp(request.max_tokens / 4, 1, 48);
  for (Contestant& contestant : all)
    for (const evaluate::Way& way : contestant.ways) evaluate::answer_one(contestant.model, question, way, request);
}

std::string key_of(const std::string& set, const std::string& id, const std::string& way) {
  return set + "\n" + id + "\n" + way;
}

std::set<std::string> done_already(const std::string& file) {
  std::set<std::string> done;
  example::for_each_json_line(file, [&](const nlohmann::ordered_json& line) {
    done.insert(key_of(line.at("set"), line.at("id"), line.at("way")));
  });
  return done;
}

std::vector<evaluate::Question> questions_of(const Arguments& a) {
  std::vector<evaluate::Question> all;
  std::set<std::string> sets;
  for (const std::string& file : a.questions) {
    std::vector<evaluate::Question> of_file = evaluate::read_questions(file);
    if (!sets.insert(of_file.front().set).second)
      ab::fail(ab::Status::bad_file,
               file + ": expected a folder and name that no other file has, found " + of_file.front().set + " again");
    if (a.most > 0 && of_file.size() > a.most)
      of_file.erase(of_file.begin() + static_cast<std::ptrdiff_t>(a.most), of_file.end());
    all.insert(all.end(), of_file.begin(), of_file.end());
  }
  return all;
}

void run(const Arguments& a) {
  const std::vector<evaluate::Question> questions = questions_of(a);
  example::LineFile out(a.out);
  const std::set<std::string> done = done_already(a.out);
  bool all_done = true;
  for (const evaluate::Question& question : questions)
    for (const evaluate::Way& way : ways(a)) all_done &= done.count(key_of(question.set, question.id, way.name)) > 0;
  if (all_done) return;  // models are loaded for what is missing
  std::vector<Contestant> all = contestants(a);
  CausalLm judge = CausalLm::load(a.model, {.weights = ab::torch::Weights::float32, .n_threads = a.n_threads});
  warm_up(all, questions.front(), a.request);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    for (Contestant& contestant : all)
      for (const evaluate::Way& way : contestant.ways) {
        if (done.count(key_of(questions[i].set, questions[i].id, way.name)) > 0) continue;
        auto line = evaluate::answer_one(contestant.model, questions[i], way, a.request);
        line["loss"] = evaluate::text_loss(judge, questions[i].text, line["text"].get<std::string>());
        out.write(example::json_line(line));
        out.flush();
      }
    fmt::print(stderr, "\r{}/{} questions ", i + 1, questions.size());
  }
  fmt::print(stderr, "\n");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Answers questions in several ways and measures them.");
  add_options(app, arguments);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  return example::guarded("evaluate", [&] { run(arguments); });
}
