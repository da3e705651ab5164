// Lets a model answer many prompts, for training text: answers in points by skeleton markup, the others serially, many
// of them in every pass. Can be stopped and started again.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>
#include <anabranch/error.hpp>

#include "../../common/guarded.hpp"
#include "../../common/json_lines.hpp"
#include "../../common/line_file.hpp"
#include "../../common/numbers.hpp"
#include "../../common/usage.hpp"
#include "prompts.hpp"
#include "writer.hpp"

namespace {

namespace ab = anabranch;

struct Arguments {
  std::string model;
  std::string prompts;
  std::string out;
  std::int32_t n_samples = 1;
  std::int32_t n_threads = 0;
  answers::Settings settings;
};

void add_options(CLI::App& app, Arguments& a) {
  app.add_option("--model", a.model, "Hugging Face folder of an instruct model")->required();
  app.add_option("--prompts", a.prompts, "JSON lines: id, kind, prompt, perhaps opening, points and least_tokens")
      ->required();
  app.add_option("--out", a.out, "JSON lines; answers that are there are not written again")->required();
  app.add_option("--samples", a.n_samples, "answers for each prompt")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--temperature", *a.settings.sampling.temperature, "of sampling")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--top-p", *a.settings.sampling.top_p, "of sampling")->check(example::share())->capture_default_str();
  app.add_option("--repetition-penalty", *a.settings.sampling.repetition_penalty, "of sampling")
      ->check(example::above(0))
      ->capture_default_str();
  app.add_option("--seed", a.settings.sampling.seed, "of the first sample; the next take the next")
      ->check(example::at_least(0))
      ->capture_default_str();
  app.add_option("--max-tokens", a.settings.max_tokens, "of a serial answer")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--max-branch-tokens", a.settings.max_branch_tokens, "of a point")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--at-once", a.settings.n_at_once, "answers in one pass")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--threads", a.n_threads, "threads; 0: all cores")->check(example::at_least(0))->capture_default_str();
}

/// Answers go to the file at once; a line on stderr says how far it is.
class Output {
 public:
  Output(example::LineFile& file, std::size_t n_tasks) : file_(file), n_tasks_(n_tasks) {}
  void add(const answers::Written& written) {
    const answers::Prompt& prompt = *written.task.prompt;
    const nlohmann::ordered_json line{{"id", fmt::format("{}-{}", prompt.id, written.task.sample)},
                                      {"prompt_id", prompt.id},
                                      {"sample", written.task.sample},
                                      {"kind", prompt.kind},
                                      {"prompt", prompt.text},
                                      {"answer", written.text},
                                      {"ended", written.reason},
                                      {"cut_points", written.n_cut}};
    file_.write(example::json_line(line));
    file_.flush();
    n_sampled_ += written.n_sampled;
    ++n_done_;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    fmt::print(stderr, "\r{}/{} answers, {:.0f} tokens/s, {:.0f} s left   ", n_done_, n_tasks_,
               static_cast<double>(n_sampled_) / seconds,
               seconds / static_cast<double>(n_done_) * static_cast<double>(n_tasks_ - n_done_));
  }

 private:
  example::LineFile& file_;
  std::size_t n_tasks_;
  std::size_t n_done_ = 0;
  std::int64_t n_sampled_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void run(const Arguments& a) {
  const std::vector<answers::Prompt> prompts = answers::read_prompts(a.prompts);
  example::LineFile file(a.out);
  const std::vector<answers::Task> tasks = answers::tasks_left(prompts, a.n_samples, a.out);
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<answers::Task>> by_form;
  for (const answers::Task& task : tasks) by_form[{task.prompt->n_points, task.prompt->least_tokens}].push_back(task);
  auto model = ab::torch::CausalLm::load(a.model, {.n_threads = a.n_threads});
  Output output(file, tasks.size());
  for (const auto& [form, group] : by_form)
    answers::write_answers(model, group, a.settings, [&](const answers::Written& w) { output.add(w); });
  fmt::print(stderr, "\n");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Answers many prompts with a model of one's own, for training text.");
  add_options(app, arguments);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  return example::guarded("answers", [&] { run(arguments); });
}
