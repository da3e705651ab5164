// Best of n and minimum Bayes risk: fork, decode together, score, adopt.
//
// The prompt is computed once. n sequences fork from it, each samples a candidate, all of them in one pass per token.
// The winner is the candidate with the highest mean log-probability, or the one that is most like all others (minimum
// Bayes risk: Eikema and Aziz 2020, arXiv 2005.10283; here with chrF, see chrf.hpp). The trunk adopts it, and goes on
// from it: nothing is computed again.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/sampler.hpp>

#include "../common/numbers.hpp"
#include "../common/words.hpp"
#include "chrf.hpp"
#include "host.hpp"

namespace ab = anabranch;
using loop::Host;
using loop::Tokens;

namespace {

struct Options {
  loop::CommonOptions common;
  std::vector<std::string> words;  // of the command line; none: the prompt as it is here
  std::string prompt = "Describe a walk along a river in autumn, in two sentences.";
  std::string follow_up = "Now say that in one short sentence.";
  std::string score = "mbr";
  std::int32_t n = 6;
  std::int32_t max_tokens = 64;
  float temperature = 0.7f;
  std::uint64_t seed = 1;
};

struct Candidate {
  ab::SequenceId sequence;
  Tokens tokens;               // sampled; the last one is not in the cache while the candidate is open or was cut
  double log_probability = 0;  // of all that was sampled, the end of text included
  double n_scored = 0;
  double likeness = 0;  // mean chrF with the other candidates
  bool open = true;
  bool cut = false;  // it ended at the limit, not by itself
  double mean_log_probability() const { return log_probability / n_scored; }
};
using Candidates = std::vector<Candidate>;

// ---- the loop

/// Samples the next token of candidate k, whose random numbers depend on (seed, k, index) and on nothing else.
void sample(Candidate& candidate, std::int32_t k, std::span<const float> logits, const Host& host, const Options& o) {
  ab::OutputSettings settings;
  settings.sampling.temperature = o.temperature;
  settings.stream = ab::branch_stream(ab::trunk_stream(o.seed), 0, k);
  settings.index = std::ssize(candidate.tokens);
  const ab::TokenId token = ab::Sampler{}(logits, settings);
  candidate.log_probability += ab::log_probabilities(logits, token, 0).first;
  candidate.n_scored += 1;
  if (host.ends_text(token)) {
    candidate.open = false;
    return;
  }
  candidate.tokens.push_back(token);
  candidate.cut = std::ssize(candidate.tokens) == o.max_tokens;
  candidate.open = !candidate.cut;
}

/// Runs a step and gives each output to the candidate whose sequence it is for.
void sample_all(Host& host, ab::Step& step, Candidates& candidates, const Options& o) {
  host.pass(step, [&](ab::SequenceId sequence, std::span<const float> logits) {
    for (std::size_t k = 0; k < candidates.size(); ++k)
      if (candidates[k].sequence == sequence) sample(candidates[k], static_cast<std::int32_t>(k), logits, host, o);
  });
}

/// The prompt once; then n sequences that all sample from its last row.
void fork_all(Host& host, ab::SequenceId trunk, const Tokens& prompt, Candidates& candidates, const Options& o) {
  const Tokens end = host.feed(trunk, prompt);
  ab::Step step = host.cache().begin_step();
  step.append(trunk, end);
  const std::vector<ab::SequenceId> sequences = step.fork(trunk, o.n);
  for (std::size_t k = 0; k < candidates.size(); ++k) {
    candidates[k].sequence = sequences[k];
    step.request_logits(sequences[k]);
  }
  sample_all(host, step, candidates, o);
}

/// One token of every open candidate per pass, until none is open.
void decode(Host& host, Candidates& candidates, const Options& o) {
  for (;;) {
    ab::Step step = host.cache().begin_step();
    bool any = false;
    for (const Candidate& candidate : candidates) {
      if (!candidate.open || candidate.tokens.empty()) continue;
      step.append(candidate.sequence, {candidate.tokens.back()}, ab::Logits::last);
      any = true;
    }
    if (!any) return;
    sample_all(host, step, candidates, o);
  }
}

std::size_t choose(Candidates& candidates, const loop::Chat& chat, const Options& o) {
  for (Candidate& a : candidates) {
    for (const Candidate& b : candidates)
      if (&a != &b) a.likeness += loop::chrf(chat.text(a.tokens), chat.text(b.tokens));
    a.likeness /= static_cast<double>(candidates.size() - 1);
  }
  const auto less = [&](const Candidate& a, const Candidate& b) {
    return o.score == "mbr" ? a.likeness < b.likeness : a.mean_log_probability() < b.mean_log_probability();
  };
  return static_cast<std::size_t>(std::max_element(candidates.begin(), candidates.end(), less) - candidates.begin());
}

/// The tokens that the winner's sequence has not been fed yet, and the next question.
Tokens next_turn(const Candidate& winner, const loop::Chat& chat, const Options& o) {
  Tokens tokens;
  if (winner.cut) tokens.push_back(winner.tokens.back());
  for (const Tokens& part : {chat.end_of_answer(), chat.next_turn(o.follow_up)})
    tokens.insert(tokens.end(), part.begin(), part.end());
  return tokens;
}

/// The trunk takes the winner's history; the other candidates' slots go back to the pool. One step, one pass.
Tokens adopt_and_go_on(Host& host, ab::SequenceId trunk, const Candidate& winner, const loop::Chat& chat,
                       const Options& o) {
  ab::Step step = host.cache().begin_step();
  step.adopt(trunk, winner.sequence);
  step.append(trunk, next_turn(winner, chat, o), ab::Logits::last);
  return host.write(std::move(step), trunk, o.max_tokens);
}

// ---- the same without forks, to compare with

/// Candidate k on a sequence of its own, with its own copy of the prompt.
void start_alone(Host& host, const Tokens& prompt, Candidates& candidates, std::size_t k, const Options& o) {
  candidates[k].sequence = host.cache().create_sequence();
  const Tokens end = host.feed(candidates[k].sequence, prompt);
  ab::Step step = host.cache().begin_step();
  step.append(candidates[k].sequence, end, ab::Logits::last);
  sample_all(host, step, candidates, o);
}

Tokens go_on_alone(Host& host, const Candidates& candidates, std::size_t winner, const loop::Chat& chat,
                   const Options& o) {
  ab::Step step = host.cache().begin_step();
  for (std::size_t k = 0; k < candidates.size(); ++k)
    if (k != winner) step.drop(candidates[k].sequence);
  step.append(candidates[winner].sequence, next_turn(candidates[winner], chat, o), ab::Logits::last);
  return host.write(std::move(step), candidates[winner].sequence, o.max_tokens);
}

enum class Way : std::uint8_t { one_by_one, batch, forked };
constexpr const char* kWayNames[] = {"one by one", "batch", "forked"};

struct Outcome {
  Candidates candidates;
  std::size_t winner = 0;
  Tokens follow_up;
  loop::Cost cost;
};

Outcome run_way(Way way, const ab::torch::CausalLm& model, const Options& o) {
  const loop::Chat chat(model);
  const Tokens prompt = chat.opening(o.prompt);
  const std::int64_t turn = std::ssize(chat.end_of_answer()) + std::ssize(chat.next_turn(o.follow_up)) + o.max_tokens;
  const std::int64_t n_copies = way == Way::forked ? 1 : o.n;
  Host host(model, {n_copies * std::ssize(prompt) + std::int64_t{o.n} * o.max_tokens + turn, o.n + 1},
            kWayNames[static_cast<std::size_t>(way)], o.common.progress());
  Outcome outcome;
  Candidates& candidates = outcome.candidates;
  candidates.resize(static_cast<std::size_t>(o.n));
  if (way == Way::forked) {
    const ab::SequenceId trunk = host.cache().create_sequence();
    fork_all(host, trunk, prompt, candidates, o);
    decode(host, candidates, o);
    outcome.winner = choose(candidates, chat, o);
    outcome.follow_up = adopt_and_go_on(host, trunk, candidates[outcome.winner], chat, o);
  } else {
    for (std::size_t k = 0; k < candidates.size(); ++k) {
      start_alone(host, prompt, candidates, k, o);
      if (way == Way::one_by_one) decode(host, candidates, o);
    }
    decode(host, candidates, o);
    outcome.winner = choose(candidates, chat, o);
    outcome.follow_up = go_on_alone(host, candidates, outcome.winner, chat, o);
  }
  outcome.cost = host.finish();
  return outcome;
}

// ---- what is shown

void print_outcome(const Outcome& outcome, const loop::Chat& chat, const Options& o) {
  fmt::print("\n? {}\n", o.prompt);
  for (std::size_t k = 0; k < outcome.candidates.size(); ++k) {
    const Candidate& c = outcome.candidates[k];
    loop::print_text(fmt::format("\n{} {}: log-probability per token {:.3f}, likeness {:.3f}, {} tokens{}",
                                 k == outcome.winner ? "*" : " ", k + 1, c.mean_log_probability(), c.likeness,
                                 c.tokens.size(), c.cut ? " (cut)" : ""),
                     chat.text(c.tokens));
  }
  loop::print_text(fmt::format("\nadopted: {} (by {})\n\n? {}", outcome.winner + 1, o.score, o.follow_up),
                   chat.text(outcome.follow_up));
}

bool same(const Outcome& a, const Outcome& b) {
  for (std::size_t k = 0; k < a.candidates.size(); ++k)
    if (a.candidates[k].tokens != b.candidates[k].tokens) return false;
  return a.winner == b.winner && a.follow_up == b.follow_up;
}

int run(const Options& o) {
  ab::check(ab::Sampling{.temperature = o.temperature});
  const ab::torch::CausalLm model = o.common.load();
  std::vector<loop::Side> sides;
  for (const char* name : kWayNames) sides.push_back({name, {}});
  std::vector<Outcome> outcomes(sides.size());
  for (std::size_t round = 0; round < static_cast<std::size_t>(o.common.rounds); ++round) {
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::size_t way = (i + round) % sides.size();
      outcomes[way] = run_way(static_cast<Way>(way), model, o);
      sides[way].rounds.push_back(outcomes[way].cost);
    }
  }
  const Outcome& forked = outcomes.back();
  print_outcome(forked, loop::Chat(model), o);
  loop::print_costs(sides);
  const loop::Cost& batch = outcomes[1].cost;
  fmt::print("  saved by forking: {} rows of the prompt not computed again, {} slots not duplicated\n",
             batch.n_rows - forked.cost.n_rows, batch.n_slots - forked.cost.n_slots);
  const bool equal = same(outcomes[0], forked) && same(outcomes[1], forked);
  const int status = loop::conclude("the same candidates, winner and text in all three ways", equal, model);
  fmt::print(
      "  'one by one' and 'batch' give each candidate its own copy of the prompt and keep it until the winner is\n"
      "  known; a serial loop that kept the prompt's K/V for the next candidate would not compute it again either.\n");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Best of n: candidates forked from one prompt, scored, the best adopted; measured against serial decoding"};
  app.add_option("prompt", o.words, "what to ask, in quotes or not; -: standard input")->default_str(o.prompt);
  app.add_option("--follow-up", o.follow_up, "second turn, after the adopted candidate")
      ->check(example::utf8())
      ->capture_default_str();
  app.add_option("--n", o.n, "candidates")->check(example::between(2, 64))->capture_default_str();
  app.add_option("--score", o.score, "mbr: most like the others; log-probability: mean per token")
      ->check(CLI::IsMember({"mbr", "log-probability"}))
      ->capture_default_str();
  app.add_option("--max-tokens", o.max_tokens, "of a candidate, and of the second turn")
      ->check(example::between(1, 8192))
      ->capture_default_str();
  app.add_option("--temperature", o.temperature)->check(example::between(0.01, 10))->capture_default_str();
  app.add_option("--seed", o.seed)->check(example::at_least(0))->capture_default_str();
  o.common.add_to(app);
  return loop::run(app, argc, argv, [&o] {
    if (!o.words.empty()) o.prompt = example::question_of(o.words, std::cin);
    return run(o);
  });
}
