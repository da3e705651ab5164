// The part that the chat programs share: their options, the views that watch a run, and the printing of answers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/decode/answer.hpp>
#include <anabranch/decode/generate_options.hpp>

#include "answer_count.hpp"
#include "live_view.hpp"
#include "picture.hpp"
#include "report.hpp"

namespace chat {

struct Session {
  std::vector<std::string> arguments;  ///< as they were given; see example::questions_of
  std::vector<std::string> questions;  ///< filled in by `collect_questions`
  std::string file;
  std::string picture;
  std::string mode = "parallel";
  std::string weights;  ///< the type of the model's weights, for the figures; empty: not known
  bool compare = false;
  bool json = false;
  bool quiet = false;
};

/// The views that see every event and every pass of a run.
struct Watchers {
  LiveView view;
  Picture picture;
  AnswerCount count = {};
};

/// Answers all questions one way while the watchers look on.
using AnswerAll = std::function<std::vector<anabranch::Answer>(const Way& way, Watchers& watch,
                                                               const std::vector<std::string>& questions)>;

/// The question of a session: words, or several questions in quotes, or `-`.
void add_question(CLI::App& app, Session& session);

/// Was anything asked, on the command line or in a file?
bool has_question(const Session& session);
/// Can questions come from the terminal instead? Not where options want another output than a terminal's.
bool can_converse(const Session& session);

/// Says on standard error what the program takes; what main returns when it was given nothing.
int explain(const CLI::App& app);

/// Options of a session, the question itself aside.
void add_options(CLI::App& app, Session& session);

/// Options of `generate` that both chat programs have.
void add_generate_options(CLI::App& app, anabranch::GenerateOptions& options);

/// Makes `generate` answer in this way, its markup aside, and show the watchers what it does.
void set_up(anabranch::GenerateOptions& options, const Way& way, Watchers& watch);

/// Reads the questions, before a model is loaded for them. Throws anabranch::Error: bad_argument when there is none, or
/// one that cannot be asked, bad_file when the file cannot be read.
void collect_questions(Session& session);

/// Asks and prints. Ctrl-C stops the answers, whose texts so far are printed; a second one ends the program. The exit
/// status: 0, or 130 when it was stopped. Throws what answering throws. REQUIRES: the questions are collected.
int run(const Session& session, const std::string& markup, const AnswerAll& answer);

}  // namespace chat
