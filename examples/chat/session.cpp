#include "session.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <utility>

#include <anabranch/fmt.hpp>

#include "../common/numbers.hpp"
#include "../common/words.hpp"
#include "interrupt.hpp"
#include "questions.hpp"
#include "report.hpp"

namespace chat {
namespace {

namespace ab = anabranch;

constexpr int kStopped = 128 + SIGINT;  ///< the exit status of a program that Ctrl-C ended

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : 100;
}

}  // namespace

void collect_questions(Session& session) {
  session.questions = example::questions_of(session.arguments, std::cin);
  if (!session.file.empty())
    for (std::string& question : read_questions(session.file)) session.questions.push_back(std::move(question));
  if (session.questions.empty()) ab::fail(ab::Status::bad_argument, "no question given; ask one, or name a --file");
  if (!session.picture.empty() && session.questions.size() != 1)
    ab::fail(ab::Status::bad_argument,
             fmt::format("--picture shows one question; {} were asked", session.questions.size()));
  if (!session.picture.empty()) check_writable(session.picture);
}

namespace {

/// The way to compare an answer with. A model that was trained to branch writes the same answer one branch after
/// another. With skeleton markup it writes one without branches, because an outline is not part of a serial answer.
Way serial_way(const std::string& markup) {
  if (markup == "skeleton") return {"serial"};
  return {markup, markup != "serial"};
}

struct Run {
  std::vector<Result> results;
  double seconds = 0;  ///< of all together
};

Run results_of(const Session& session, const Way& way, const AnswerAll& answer, Watchers& watch) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<ab::Answer> answers = answer(way, watch, session.questions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  watch.view.finish();
  watch.count.finish();
  std::vector<Result> results;
  for (std::size_t i = 0; i < answers.size(); ++i)
    results.push_back({session.questions[i], way, std::move(answers[i]), session.weights});
  return {std::move(results), seconds};
}

/// What was printed so far is there before what follows on standard error.
void flush_output() {
  if (std::fflush(stdout) != 0)
    ab::fail(ab::Status::bad_file, "standard output cannot be written: ", std::strerror(errno));
}

/// The answer to standard output, its figures to standard error. `shown`: the live view has printed the answer.
void print(const Result& result, bool shown) {
  if (!shown) fmt::print("{}\n", result.answer.text);
  flush_output();
  fmt::print(stderr, "\n{}", figures(result));
}

}  // namespace

void add_question(CLI::App& app, Session& session) {
  app.add_option("question", session.arguments,
                 "what to ask: words are one question; several in quotes are answered together; -: standard input");
}

bool has_question(const Session& session) { return !session.arguments.empty() || !session.file.empty(); }

bool can_converse(const Session& session) {
  const bool plain = !session.json && !session.compare && session.picture.empty();
  return plain && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
}

int explain(const CLI::App& app) {
  fmt::print(stderr, "error: nothing was asked\n\n{}", app.help());
  return 2;
}

void add_options(CLI::App& app, Session& session) {
  app.add_option("--file", session.file, "questions, one a line (text, or JSON with question, prompt or turns)")
      ->check(example::named());
  app.add_option("--mode", session.mode,
                 "parallel: an answer's branches together; serial: the same markup, mask and positions, one branch "
                 "after another, one row a pass (for an answer without branches: --markup serial)")
      ->check(CLI::IsMember({"parallel", "serial"}))
      ->capture_default_str();
  app.add_flag("--compare", session.compare,
               "answer serially too and show both: with a markup that the model was trained for the same answer, one "
               "branch after another; with skeleton an answer without branches");
  app.add_flag("--json", session.json, "one JSON object per answer, nothing else");
  app.add_option("--picture", session.picture, "write the run of one question as an SVG")->check(example::named());
  app.add_flag("--quiet", session.quiet, "no live view, no count of answers");
}

void add_generate_options(CLI::App& app, ab::GenerateOptions& options) {
  ab::RequestOptions& request = options.request;
  ab::SamplingOptions& sampling = request.sampling;
  app.add_option("--seed", sampling.seed, "of sampling")->check(example::at_least(0))->capture_default_str();
  const auto or_own = [](const char* otherwise) { return std::string("the model's own, else ") + otherwise; };
  app.add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->check(example::at_least(0))
      ->default_str(or_own("0"));
  app.add_option("--top-k", sampling.top_k, "sample from the k likeliest; 0: all")
      ->check(example::at_least(0))
      ->default_str(or_own("0"));
  app.add_option("--top-p", sampling.top_p, "sample from the likeliest that reach p together")
      ->check(example::share())
      ->default_str(or_own("1"));
  app.add_option("--min-p", sampling.min_p, "only tokens at least this many times as likely as the likeliest")
      ->check(example::between(0, 1))
      ->default_str(or_own("0"));
  app.add_option("--repetition-penalty", sampling.repetition_penalty)
      ->check(example::above(0))
      ->default_str(or_own("1"));
  app.add_option("--frequency-penalty", sampling.frequency_penalty, "for each time that a token was written")
      ->check(example::any_number())
      ->default_str("0");
  app.add_option("--presence-penalty", sampling.presence_penalty, "once, if a token was written")
      ->check(example::any_number())
      ->default_str("0");
  app.add_option("--no-repeat-ngram", request.no_repeat_ngram, "groups of so many tokens are not written again")
      ->check(example::at_least(0))
      ->default_str(or_own("0"));
  app.add_option("--stop", request.stop, "texts, or names of special tokens, that end an answer")
      ->check(example::utf8())
      ->allow_extra_args(false);
  app.add_option("--system", options.system, "system message")->check(example::utf8());
  app.add_option("--max-tokens", request.max_tokens,
                 "tokens that an answer may sample; forced ones, such as titles repeated in branches, come on top")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--max-branch-tokens", request.max_branch_tokens, "of one branch")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--max-branches", options.max_branches, "points of an answer")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--batch", options.max_requests, "questions answered at once")
      ->check(example::at_least(1))
      ->capture_default_str();
}

void set_up(ab::GenerateOptions& options, const Way& way, Watchers& watch) {
  if (way.one_by_one) options.request.max_parallel_branches = 1;
  options.on_event = [&watch](const ab::Event& event) {
    watch.view.show(event);
    watch.picture.show(event);
    watch.count.show(event);
  };
  options.on_pass = [&watch] {
    watch.view.refresh();
    watch.picture.end_pass();
    return !Interrupt::pressed();
  };
}

int run(const Session& session, const std::string& markup, const AnswerAll& answer) {
  const bool show = !session.json && !session.quiet && !session.compare && session.questions.size() == 1;
  const ViewKind kind = show ? view_kind_of(stdout) : ViewKind::none;
  Watchers watch{{kind, kind == ViewKind::terminal ? stdout : stderr}, {}};
  Watchers unseen{{ViewKind::none, stdout}, {}};
  if (!session.quiet && session.questions.size() > 1)
    watch.count = unseen.count = {session.questions.size(), view_kind_of(stderr), stderr};
  const Way way{markup, session.mode == "serial" && markup != "serial"};
  const Way reference = serial_way(markup);
  if (session.compare && !session.json)
    fmt::print(stderr, "answering {} serially, then {} {}\n", reference.markup, way.markup, way.mode());
  const Interrupt interrupt(Interrupt::Second::ends);
  Run serial;
  if (session.compare) serial = results_of(session, reference, answer, unseen);
  const auto [results, seconds] = results_of(session, way, answer, watch);

  for (std::size_t i = 0; i < results.size(); ++i) {
    if (session.json) {
      if (session.compare) fmt::print("{}\n", to_json(serial.results[i]));
      fmt::print("{}\n", to_json(results[i]));
      continue;
    }
    if (results.size() > 1) fmt::print("\n? {}\n", results[i].question);
    if (session.compare)
      fmt::print("\n{}\n", comparison(serial.results[i], results[i], terminal_width()));
    else
      print(results[i], kind == ViewKind::terminal);
  }
  flush_output();
  if (!session.picture.empty())
    watch.picture.write(session.picture, session.questions.front(),
                        fmt::format("{}", results.front().answer.statistics));
  if (!session.json && results.size() > 1) {
    std::FILE* out = session.compare ? stdout : stderr;
    if (session.compare) fmt::print(out, "\n{}", summary(serial.results, serial.seconds));
    fmt::print(out, "\n{}", summary(results, seconds));
  }
  if (!Interrupt::pressed()) return 0;
  fmt::print(stderr, "(stopped)\n");
  return kStopped;
}

}  // namespace chat
