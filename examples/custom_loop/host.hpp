// Shared by the three loops of this folder: a model with a cache, its passes, and their cost.
//
// The loops themselves are in best_of.cpp, speculate.cpp and fan_out.cpp. Each decides what a step holds; `Host::pass`
// is all that a host has to do with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "../common/data.hpp"

namespace loop {

namespace ab = anabranch;
using Tokens = std::vector<ab::TokenId>;

/// The cost of one way of decoding.
struct Cost {
  std::int64_t n_passes = 0;
  std::int64_t n_rows = 0;   ///< tokens that went through the model; each wrote one slot
  std::int32_t n_slots = 0;  ///< most slots held at one time, in whole pages
  double seconds = 0;        ///< wall clock, choosing of tokens included
};

/// Room for a run: tokens of all sequences together, and how many sequences (each may leave a page unfilled).
struct Room {
  std::int64_t n_tokens = 0;
  std::int64_t n_sequences = 1;
};

enum class Progress : std::uint8_t { shown, none };

/// A runner with a cache of its own. Several hosts share the model's weights.
class Host {
 public:
  Host(const ab::torch::CausalLm& model, Room room, std::string name, Progress progress);

  ab::KvCache& cache() noexcept { return cache_; }

  /// Plans the step, runs the model, gives take(sequence, logits) each output, commits. Throws no_room; a step that is
  /// not committed leaves no trace.
  template <class Take>
  void pass(ab::Step& step, Take&& take) {
    const ab::PlanResult plan = step.plan();
    if (!plan) fail_without_room(plan.shortage());
    count(*plan);
    const ab::LogitsView logits = model_(*plan);
    for (std::size_t i = 0; i < plan->outputs.size(); ++i)
      take(plan->outputs[i].sequence, logits.row(static_cast<std::int32_t>(i)));
    step.commit();
  }

  /// Feeds a prompt in passes of the model's best size, but for its end, which it returns: that goes into the step
  /// which also forks, or wants logits. Throws out_of_range, before the first pass, when the model cannot take it all.
  Tokens feed(ab::SequenceId sequence, const Tokens& prompt);

  /// Goes on serially and greedily from a step in which the sequence's last token wants its logits: at most `n` tokens,
  /// up to the end of text, which is not part of them. The last one of `n` is not fed.
  Tokens write(ab::Step step, ab::SequenceId sequence, std::int32_t n);

  bool ends_text(ab::TokenId token) const;
  /// Stops the clock. Throws `internal` when the cache is not as it must be.
  Cost finish();

 private:
  [[noreturn]] void fail_without_room(ab::Shortage shortage) const;
  void count(const ab::StepPlan& plan);
  void show(const char* end) const;
  double elapsed() const;

  ab::torch::CausalLm model_;
  ab::KvCache cache_;
  std::string name_;
  Progress progress_;
  Cost cost_;
  std::chrono::steady_clock::time_point begin_;
};

/// The likeliest token; the lowest id of equals.
ab::TokenId likeliest(std::span<const float> logits);

/// A chat in pieces, so that each turn can be fed to the sequence where it belongs.
class Chat {
 public:
  explicit Chat(const ab::torch::CausalLm& model) : text_(model.text()) {}
  /// A question, up to where its answer begins.
  Tokens opening(const std::string& question) const;
  /// A question with its answer, up to where the next turn begins.
  Tokens exchange(const std::string& question, const std::string& answer) const;
  /// The tokens that follow an answer: its end-of-text token and the chat template's end of a turn.
  Tokens end_of_answer() const;
  /// A further question, up to where its answer begins.
  Tokens next_turn(const std::string& question) const;
  Tokens encode(const std::string& text) const { return text_.tokenizer.encode(text, ab::hf::Special::plain); }
  std::string text(const Tokens& tokens) const;

 private:
  const ab::hf::ModelText& text_;
};

/// One way of doing the same work, measured once a round.
struct Side {
  std::string name;
  std::vector<Cost> rounds;
};
/// A table of all sides, and how the last compares with each of the others.
void print_costs(const std::vector<Side>& sides);
/// Says whether all sides wrote the same; returns what the program does: 1 when they should have and did not. With
/// bfloat16 weights they need not: rounding then depends on how many rows a pass has.
int conclude(const std::string& claim, bool holds, const ab::torch::CausalLm& model);
/// The text with an indentation that sets it off.
void print_text(const std::string& heading, const std::string& text);

/// The options that all programs of this folder take.
struct CommonOptions {
  static constexpr const char* kModel = "build/models/smollm2-135m";
  std::string model = example::data(kModel);
  std::string weights = "f32";
  std::int32_t threads = 0;
  std::int32_t rounds = 1;
  bool quiet = false;

  void add_to(CLI::App& app);
  Progress progress() const { return quiet ? Progress::none : Progress::shown; }
  /// Loads the model, and runs one small pass, so that no side pays for what is done once.
  ab::torch::CausalLm load() const;
};

/// Reads the command line and runs; errors go to standard error. What main returns.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

}  // namespace loop
