// A speculative tree: several drafts of the next tokens, all checked in one ragged pass, the right one adopted.
//
// The drafts come from the text so far (drafts.hpp). What they have in common is one stretch of rows, and where they
// part the tree forks: a pass holds each different row once. Logits are wanted of all rows, so each says which token
// the model itself would write next. The longest path that agrees with the model is accepted: what goes too far is
// rewound, the path is adopted by the trunk, everything else is dropped. Each pass also yields one token that no draft
// foresaw. Greedy: the text is exactly what serial decoding writes. (Trees of drafts: Miao et al. 2023,
// SpecInfer, arXiv 2305.09781.)
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "../common/numbers.hpp"
#include "../common/words.hpp"
#include "draft_tree.hpp"
#include "drafts.hpp"
#include "host.hpp"

namespace ab = anabranch;
using loop::Host;
using loop::Tokens;

namespace {

struct Options {
  loop::CommonOptions common;
  std::vector<std::string> words;  // of the command line; none: the prompt as it is here
  std::string prompt =
      "Write this recipe again as a numbered list: Peel the onions and cut the onions into rings. Melt the butter in a "
      "pan and fry the onions in the butter. Add the flour to the pan and stir the flour into the butter. Add the milk "
      "to the pan and stir until the milk is thick.";
  std::int32_t max_tokens = 128;
  loop::DraftOptions drafts;
};

struct Tally {
  std::int64_t n_drafted = 0;   // rows of drafts
  std::int64_t n_accepted = 0;  // those of them that became text
  std::int64_t n_forked = 0;    // passes whose drafts went different ways
};

// ---- the loop

/// Drafts of at most `room` tokens, each with the last token of the text in front of it: known, but not fed yet.
std::vector<Tokens> draft(const Tokens& text, std::int64_t room, loop::DraftOptions options) {
  options.length = static_cast<std::int32_t>(std::min<std::int64_t>(options.length, room));
  std::vector<Tokens> drafts = loop::look_up(text, options);
  if (drafts.empty()) drafts.emplace_back();
  for (Tokens& tokens : drafts) tokens.insert(tokens.begin(), text.back());
  return drafts;
}

/// The greedy answer to a prompt. A step accepts what the last pass found and checks the next drafts.
Tokens write(Host& host, ab::SequenceId trunk, const Tokens& prompt, const Options& o, Tally& tally) {
  loop::Says says;
  const auto take = [&](ab::SequenceId sequence, std::span<const float> logits) {
    says[sequence].push_back(loop::likeliest(logits));
  };
  Tokens text = prompt;
  const std::int64_t n_end = std::ssize(prompt) + o.max_tokens;
  const Tokens end = host.feed(trunk, prompt);
  loop::Stretch tree{trunk, {end.back()}, {}};  // the prompt's end: nothing drafted yet
  ab::Step step = host.cache().begin_step();
  step.append(trunk, end, ab::Logits::last);
  for (;;) {
    says.clear();
    host.pass(step, take);
    step = host.cache().begin_step();
    const Tokens written = loop::accept(step, host.cache(), tree, says);
    tally.n_accepted += std::ssize(written) - 1;
    text.insert(text.end(), written.begin(), written.end());
    if (host.ends_text(text.back()) || std::ssize(text) >= n_end) break;
    const std::vector<Tokens> drafts = draft(text, n_end - std::ssize(text) - 1, o.drafts);
    tree = loop::grow(step, trunk, drafts);
    tally.n_drafted += loop::n_rows(tree) - 1;
    tally.n_forked += tree.ways.empty() ? 0 : 1;
  }
  host.pass(step, take);  // no rows: what was accepted last stays, the rest goes back to the pool
  if (host.ends_text(text.back())) text.pop_back();
  return Tokens(text.begin() + std::ssize(prompt), text.end());
}

// ---- the same serially, to compare with

struct Outcome {
  Tokens text;
  Tally tally;
  loop::Cost cost;
};

Outcome run_serially(const ab::torch::CausalLm& model, const Tokens& prompt, const Options& o) {
  Host host(model, {std::ssize(prompt) + o.max_tokens, 1}, "serial", o.common.progress());
  const ab::SequenceId sequence = host.cache().create_sequence();
  const Tokens end = host.feed(sequence, prompt);
  ab::Step step = host.cache().begin_step();
  step.append(sequence, end, ab::Logits::last);
  Outcome outcome;
  outcome.text = host.write(std::move(step), sequence, o.max_tokens);
  outcome.cost = host.finish();
  return outcome;
}

Outcome run_speculating(const ab::torch::CausalLm& model, const Tokens& prompt, Options o, const std::string& name) {
  // The rejected tree and the next one are there at one time.
  const std::int64_t n_tree = 2 * std::int64_t{o.drafts.n_drafts} * (o.drafts.length + 1);
  Host host(model, {std::ssize(prompt) + o.max_tokens + n_tree, 4 * std::int64_t{o.drafts.n_drafts} + 1}, name,
            o.common.progress());
  o.drafts.ends = model.end_of_text();
  Outcome outcome;
  outcome.text = write(host, host.cache().create_sequence(), prompt, o, outcome.tally);
  outcome.cost = host.finish();
  return outcome;
}

enum class Way : std::uint8_t { serial, one_draft, tree };
constexpr const char* kWayNames[] = {"serial", "one draft", "tree"};

Outcome run_way(Way way, const ab::torch::CausalLm& model, const Tokens& prompt, Options o) {
  if (way == Way::serial) return run_serially(model, prompt, o);
  if (way == Way::one_draft) o.drafts.n_drafts = 1;
  return run_speculating(model, prompt, o, kWayNames[static_cast<std::size_t>(way)]);
}

void print_tally(const std::string& name, const Outcome& outcome) {
  fmt::print("  {}: {:.2f} tokens of text per pass; {} drafted, {} of them accepted; {} passes with drafts that part\n",
             name, static_cast<double>(outcome.text.size()) / static_cast<double>(outcome.cost.n_passes),
             outcome.tally.n_drafted, outcome.tally.n_accepted, outcome.tally.n_forked);
}

/// Says where a text that is not that of serial decoding leaves it.
bool same(const Outcome& serial, const Outcome& other, const std::string& name) {
  const auto [a, b] = std::mismatch(serial.text.begin(), serial.text.end(), other.text.begin(), other.text.end());
  if (a == serial.text.end() && b == other.text.end()) return true;
  fmt::print("  {}: another text than serial from token {} of {} on\n", name, a - serial.text.begin(),
             serial.text.size());
  return false;
}

int run(const Options& o) {
  if (o.drafts.min_match > o.drafts.max_match)
    ab::fail(ab::Status::bad_argument, fmt::format("--min-match is {}; it must be at most --max-match, {}",
                                                   o.drafts.min_match, o.drafts.max_match));
  const ab::torch::CausalLm model = o.common.load();
  const loop::Chat chat(model);
  const Tokens prompt = chat.opening(o.prompt);
  std::vector<loop::Side> sides;
  for (const char* name : kWayNames) sides.push_back({name, {}});
  std::vector<Outcome> outcomes(sides.size());
  for (std::size_t round = 0; round < static_cast<std::size_t>(o.common.rounds); ++round) {
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::size_t way = (i + round) % sides.size();
      outcomes[way] = run_way(static_cast<Way>(way), model, prompt, o);
      sides[way].rounds.push_back(outcomes[way].cost);
    }
  }
  loop::print_text(fmt::format("\n? {}\n", o.prompt), chat.text(outcomes.back().text));
  loop::print_costs(sides);
  bool equal = true;
  for (std::size_t i = 1; i < sides.size(); ++i) print_tally(sides[i].name, outcomes[i]);
  for (std::size_t i = 1; i < sides.size(); ++i) equal = same(outcomes[0], outcomes[i], sides[i].name) && equal;
  const int status = loop::conclude("the same text as serial greedy decoding, token by token", equal, model);
  fmt::print(
      "  Rows of wrong drafts are computed in vain, and a pass with many rows takes longer than one with few: more\n"
      "  drafts save passes, not always time. Where a text does not repeat what stood before there is little to "
      "gain.\n");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Speculative decoding with a tree of drafts from the text itself; measured against serial decoding"};
  app.add_option("prompt", o.words, "what to ask, in quotes or not; -: standard input")->default_str(o.prompt);
  app.add_option("--max-tokens", o.max_tokens, "of the answer")
      ->check(example::between(1, 8192))
      ->capture_default_str();
  app.add_option("--drafts", o.drafts.n_drafts, "of the tree: at most so many a pass")
      ->check(example::between(1, 32))
      ->capture_default_str();
  app.add_option("--length", o.drafts.length, "tokens of a draft")
      ->check(example::between(1, 64))
      ->capture_default_str();
  app.add_option("--max-match", o.drafts.max_match, "tokens alike before a draft: first this many")
      ->check(example::between(1, 16))
      ->capture_default_str();
  app.add_option("--min-match", o.drafts.min_match, "then fewer, down to these")
      ->check(example::between(1, 16))
      ->capture_default_str();
  o.common.add_to(app);
  return loop::run(app, argc, argv, [&o] {
    if (!o.words.empty()) o.prompt = example::question_of(o.words, std::cin);
    return run(o);
  });
}
