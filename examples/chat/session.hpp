// What the chat programs have in common: the questions, what watches the answers, and how they are printed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/decode/answer.hpp>

#include "live_view.hpp"
#include "picture.hpp"
#include "report.hpp"

namespace chat {

struct Session {
  std::vector<std::string> questions;
  std::string file;
  std::string picture;
  std::string mode = "parallel";
  bool compare = false;
  bool json = false;
  bool quiet = false;
};

/// What watches a run.
struct Watchers {
  LiveView view;
  Picture picture;
};

/// Answers all questions one way while the watchers see every event and every pass.
using AnswerAll = std::function<std::vector<anabranch::Answer>(const Way& way, Watchers& watch,
                                                               const std::vector<std::string>& questions)>;

/// All but the question itself.
void add_options(CLI::App& app, Session& session);

/// Those of a `generate`: its GenerateOptions.
template <class Generate>
void add_generate_options(CLI::App& app, Generate& g) {
  app.add_option("--seed", g.seed, "of sampling")->capture_default_str();
  app.add_option("--temperature", g.temperature, "0: always the likeliest token")->capture_default_str();
  app.add_option("--top-k", g.top_k, "sample from the k likeliest; 0: all")->capture_default_str();
  app.add_option("--top-p", g.top_p, "sample from the likeliest that reach p together")->capture_default_str();
  app.add_option("--repetition-penalty", g.repetition_penalty)->capture_default_str();
  app.add_option("--no-repeat-ngram", g.no_repeat_ngram, "groups of so many tokens are not written again")
      ->capture_default_str();
  app.add_option("--system", g.system, "system message");
  app.add_option("--max-tokens", g.max_tokens, "sampled tokens of an answer")->capture_default_str();
  app.add_option("--max-branch-tokens", g.max_branch_tokens, "of one branch")->capture_default_str();
  app.add_option("--max-branches", g.max_branches, "points of an answer")->capture_default_str();
  app.add_option("--batch", g.max_requests, "questions answered at once")->capture_default_str();
}

/// Makes a `generate` answer in this way, its markup aside, and the watchers see what it does.
template <class Generate>
void set_up(Generate& g, const Way& way, Watchers& watch) {
  if (way.one_by_one) g.max_parallel_branches = 1;
  g.on_event = [&watch](const anabranch::Event& event) {
    watch.view.show(event);
    watch.picture.show(event);
  };
  g.on_pass = [&watch] {
    watch.view.refresh();
    watch.picture.end_pass();
  };
}

/// Asks and prints. Throws anabranch::Error(bad_argument) when there is nothing to ask, and what answering throws.
void run(Session session, const std::string& markup, const AnswerAll& answer);

}  // namespace chat
