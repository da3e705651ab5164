// Asks a model questions and shows the branches of its answers as they grow together.
#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/fmt.hpp>
#include <anabranch/torch/generate.hpp>

#include "live_view.hpp"
#include "picture.hpp"
#include "questions.hpp"
#include "report.hpp"

namespace ab = anabranch;

namespace {

struct Options {
  std::vector<std::string> questions;
  std::string file;
  std::string model = "build/models/smollm2-135m";
  std::string mode = "model";
  std::string positions = "model";
  std::string weights = "auto";
  std::string picture;
  std::int32_t threads = 0;
  bool compare = false;
  bool json = false;
  bool quiet = false;
  ab::torch::GenerateOptions generate;
};

const std::map<std::string, ab::torch::Weights> kWeights{{"auto", ab::torch::Weights::automatic},
                                                         {"f32", ab::torch::Weights::float32},
                                                         {"bf16", ab::torch::Weights::bfloat16}};
const std::map<std::string, ab::hf::MarkupKind> kModes{{"serial", ab::hf::MarkupKind::serial},
                                                       {"skeleton", ab::hf::MarkupKind::skeleton},
                                                       {"aspd", ab::hf::MarkupKind::aspd}};

void add_options(CLI::App& app, Options& o) {
  app.add_option("question", o.questions, "what to ask; several are answered together");
  app.add_option("--file", o.file, "questions, one a line (text, or JSON with question, prompt or turns)");
  app.add_option("--model", o.model, "Hugging Face folder of a Llama, Qwen2 or Qwen3 model")->capture_default_str();
  app.add_option("--mode", o.mode, "serial, skeleton, aspd; model: what it was trained for")
      ->check(CLI::IsMember({"model", "serial", "skeleton", "aspd"}))
      ->capture_default_str();
  app.add_option("--positions", o.positions, "sequential, longest; model: what it was trained with")
      ->check(CLI::IsMember({"model", "sequential", "longest"}))
      ->capture_default_str();
  app.add_flag("--compare", o.compare, "answer serially too and show both");
  app.add_flag("--json", o.json, "one JSON object per answer, nothing else");
  app.add_option("--picture", o.picture, "write the run of one question as an SVG");
  app.add_flag("--quiet", o.quiet, "no live view");
  app.add_option("--seed", o.generate.seed, "of sampling")->capture_default_str();
  app.add_option("--temperature", o.generate.temperature, "0: always the likeliest token")->capture_default_str();
  app.add_option("--top-k", o.generate.top_k, "sample from the k likeliest; 0: all")->capture_default_str();
  app.add_option("--top-p", o.generate.top_p, "sample from the likeliest that reach p together")->capture_default_str();
  app.add_option("--repetition-penalty", o.generate.repetition_penalty)->capture_default_str();
  app.add_option("--system", o.generate.system, "system message");
  app.add_option("--max-tokens", o.generate.max_tokens, "sampled tokens of an answer")->capture_default_str();
  app.add_option("--max-branch-tokens", o.generate.max_branch_tokens, "of one branch")->capture_default_str();
  app.add_option("--max-branches", o.generate.max_branches, "points of an answer")->capture_default_str();
  app.add_option("--batch", o.generate.max_requests, "questions answered at once")->capture_default_str();
  app.add_option("--weights", o.weights, "auto, f32, bf16")->check(CLI::IsMember(kWeights))->capture_default_str();
  app.add_option("--threads", o.threads, "0: LibTorch's choice")->check(CLI::NonNegativeNumber)->capture_default_str();
}

/// What watches a run.
struct Watchers {
  chat::LiveView view;
  chat::Picture picture;
};

std::vector<chat::Result> answer(ab::torch::CausalLm& model, const Options& o, ab::hf::MarkupKind mode,
                                 Watchers& watch) {
  ab::torch::GenerateOptions options = o.generate;
  options.markup = mode;
  options.on_event = [&watch](const ab::Event& event) {
    watch.view.show(event);
    watch.picture.show(event);
  };
  options.on_pass = [&watch] {
    watch.view.refresh();
    watch.picture.end_pass();
  };
  std::vector<ab::torch::Answer> answers = ab::torch::generate(model, o.questions, options);
  watch.view.finish();
  std::vector<chat::Result> results;
  for (std::size_t i = 0; i < answers.size(); ++i)
    results.push_back({o.questions[i], ab::hf::markup_name(mode), std::move(answers[i])});
  return results;
}

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : 100;
}

void run(Options o) {
  if (!o.file.empty())
    for (std::string& question : chat::read_questions(o.file)) o.questions.push_back(std::move(question));
  if (o.questions.empty()) ab::fail(ab::Status::bad_argument, "no question given; ask one, or name a --file");
  if (!o.picture.empty() && o.questions.size() != 1)
    ab::fail(ab::Status::bad_argument, fmt::format("--picture shows one question; {} were asked", o.questions.size()));
  if (o.positions != "model")
    o.generate.positions = o.positions == "longest" ? ab::Positions::longest : ab::Positions::sequential;

  ab::torch::LoadOptions load;
  load.weights = kWeights.at(o.weights);
  load.n_threads = o.threads;
  ab::torch::CausalLm model = ab::torch::CausalLm::load(o.model, load);
  const ab::hf::MarkupKind mode = o.mode == "model" ? model.text().markup.markup : kModes.at(o.mode);

  const bool show = !o.json && !o.quiet && !o.compare && o.questions.size() == 1;
  Watchers watch{{show ? chat::view_kind_of(stdout) : chat::ViewKind::none, stdout}, {}};
  Watchers unseen{{chat::ViewKind::none, stdout}, {}};
  if (o.compare && !o.json) fmt::print(stderr, "answering serially, then in {} mode\n", ab::hf::markup_name(mode));
  std::vector<chat::Result> serial;
  if (o.compare) serial = answer(model, o, ab::hf::MarkupKind::serial, unseen);
  const std::vector<chat::Result> results = answer(model, o, mode, watch);
  if (!o.picture.empty())
    watch.picture.write(o.picture, o.questions.front(), fmt::format("{}", results.front().answer.statistics));

  for (std::size_t i = 0; i < results.size(); ++i) {
    if (o.json) {
      if (o.compare) fmt::print("{}\n", chat::to_json(serial[i]));
      fmt::print("{}\n", chat::to_json(results[i]));
      continue;
    }
    if (results.size() > 1) fmt::print("\n? {}\n", results[i].question);
    if (o.compare) {
      fmt::print("\n{}\n", chat::comparison(serial[i], results[i], terminal_width()));
    } else {
      if (!show || chat::view_kind_of(stdout) == chat::ViewKind::lines) fmt::print("\n{}\n", results[i].answer.text);
      fmt::print("\n{}", chat::figures(results[i]));
    }
  }
  if (!o.json && results.size() > 1) {
    if (o.compare) fmt::print("\n{}", chat::summary(serial));
    fmt::print("\n{}", chat::summary(results));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Answers questions with branches that are decoded together"};
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    run(std::move(options));
  } catch (const ab::Error& error) {
    fmt::print(stderr, "chat: {}: {}\n", error.status(), error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "chat: {}\n", error.what());
    return 1;
  }
  return 0;
}
