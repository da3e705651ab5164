#include "session.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <utility>

#include <anabranch/fmt.hpp>

#include "questions.hpp"
#include "report.hpp"

namespace chat {
namespace {

namespace ab = anabranch;

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : 100;
}

void check(Session& session) {
  if (!session.file.empty())
    for (std::string& question : read_questions(session.file)) session.questions.push_back(std::move(question));
  if (session.questions.empty()) ab::fail(ab::Status::bad_argument, "no question given; ask one, or name a --file");
  if (!session.picture.empty() && session.questions.size() != 1)
    ab::fail(ab::Status::bad_argument,
             fmt::format("--picture shows one question; {} were asked", session.questions.size()));
}

std::vector<Result> results_of(const Session& session, const std::string& mode, const AnswerAll& answer,
                               Watchers& watch) {
  std::vector<ab::Answer> answers = answer(mode, watch, session.questions);
  watch.view.finish();
  std::vector<Result> results;
  for (std::size_t i = 0; i < answers.size(); ++i)
    results.push_back({session.questions[i], mode, std::move(answers[i])});
  return results;
}

/// `shown`: the live view has printed the answer already.
void print(const Result& result, bool shown) {
  if (!shown) fmt::print("\n{}\n", result.answer.text);
  fmt::print("\n{}", figures(result));
}

}  // namespace

void add_options(CLI::App& app, Session& session) {
  app.add_option("--file", session.file, "questions, one a line (text, or JSON with question, prompt or turns)");
  app.add_flag("--compare", session.compare, "answer serially too and show both");
  app.add_flag("--json", session.json, "one JSON object per answer, nothing else");
  app.add_option("--picture", session.picture, "write the run of one question as an SVG");
  app.add_flag("--quiet", session.quiet, "no live view");
}

void run(Session session, const std::string& mode, const AnswerAll& answer) {
  check(session);
  const bool show = !session.json && !session.quiet && !session.compare && session.questions.size() == 1;
  const ViewKind kind = show ? view_kind_of(stdout) : ViewKind::none;
  Watchers watch{{kind, stdout}, {}};
  Watchers unseen{{ViewKind::none, stdout}, {}};
  if (session.compare && !session.json) fmt::print(stderr, "answering serially, then in {} mode\n", mode);
  std::vector<Result> serial;
  if (session.compare) serial = results_of(session, "serial", answer, unseen);
  const std::vector<Result> results = results_of(session, mode, answer, watch);
  if (!session.picture.empty())
    watch.picture.write(session.picture, session.questions.front(),
                        fmt::format("{}", results.front().answer.statistics));

  for (std::size_t i = 0; i < results.size(); ++i) {
    if (session.json) {
      if (session.compare) fmt::print("{}\n", to_json(serial[i]));
      fmt::print("{}\n", to_json(results[i]));
      continue;
    }
    if (results.size() > 1) fmt::print("\n? {}\n", results[i].question);
    if (session.compare)
      fmt::print("\n{}\n", comparison(serial[i], results[i], terminal_width()));
    else
      print(results[i], kind == ViewKind::terminal);
  }
  if (!session.json && results.size() > 1) {
    if (session.compare) fmt::print("\n{}", summary(serial));
    fmt::print("\n{}", summary(results));
  }
}

int guarded(const char* program, const std::function<void()>& body) {
  try {
    body();
  } catch (const ab::Error& error) {
    fmt::print(stderr, "{}: {}: {}\n", program, error.status(), error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
  return 0;
}

}  // namespace chat
