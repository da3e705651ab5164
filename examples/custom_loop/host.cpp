#include "host.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

#include <anabranch/fmt.hpp>
#include <anabranch/hf/prompt.hpp>

#include "../common/guarded.hpp"
#include "../common/load_progress.hpp"
#include "../common/numbers.hpp"
#include "../common/progress_line.hpp"
#include "../common/shipped.hpp"
#include "../common/usage.hpp"

namespace loop {
namespace {

using Clock = std::chrono::steady_clock;

ab::CacheOptions cache_options(const ab::torch::CausalLm& model, Room room) {
  ab::CacheOptions options;
  const std::int64_t pages = room.n_tokens / options.page_size + 2 * room.n_sequences + 2;
  constexpr std::int64_t kMostPages = 1 << 20;
  if (pages > kMostPages)
    ab::fail(ab::Status::bad_argument, fmt::format("{} tokens on {} sequences need {} pages; at most {} are possible",
                                                   room.n_tokens, room.n_sequences, pages, kMostPages));
  options.n_pages = static_cast<std::int32_t>(pages);
  options.max_position = model.config().max_positions;
  return options;
}

/// The rest of `longer` after its beginning `shorter`.
Tokens rest_of(const Tokens& longer, const Tokens& shorter) {
  if (longer.size() < shorter.size() || !std::equal(shorter.begin(), shorter.end(), longer.begin()))
    ab::fail(ab::Status::unsupported,
             "the model's chat template is not made of whole turns: a turn changes what is "
             "before it");
  return Tokens(longer.begin() + static_cast<std::ptrdiff_t>(shorter.size()), longer.end());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<double> seconds_of(const Side& side) {
  std::vector<double> seconds;
  for (const Cost& cost : side.rounds) seconds.push_back(cost.seconds);
  return seconds;
}

}  // namespace

Host::Host(const ab::torch::CausalLm& model, Room room, std::string name, Progress progress)
    : model_(model.with_own_slots()),
      cache_(cache_options(model, room)),
      name_(std::move(name)),
      progress_(progress),
      begin_(Clock::now()) {}

Tokens Host::feed(ab::SequenceId sequence, const Tokens& prompt) {
  const std::int64_t n_most = cache_.position_limit(sequence) - cache_.next_position(sequence);
  if (std::ssize(prompt) > std::min<std::int64_t>(n_most, cache_.options().max_position))
    ab::fail(ab::Status::out_of_range, fmt::format("the prompt has {} tokens; the model takes {} in all", prompt.size(),
                                                   cache_.options().max_position));
  const auto chunk = static_cast<std::size_t>(model_.max_rows());
  std::size_t fed = 0;
  for (; prompt.size() - fed > chunk; fed += chunk) {
    ab::Step step = cache_.begin_step();
    step.append(sequence, std::span(prompt).subspan(fed, chunk));
    pass(step, [](ab::SequenceId, std::span<const float>) {});
  }
  return Tokens(prompt.begin() + static_cast<std::ptrdiff_t>(fed), prompt.end());
}

Tokens Host::write(ab::Step step, ab::SequenceId sequence, std::int32_t n) {
  Tokens written;
  for (;;) {
    ab::TokenId next = ab::kUnknownToken;
    pass(step, [&](ab::SequenceId of, std::span<const float> logits) {
      if (of == sequence) next = likeliest(logits);
    });
    if (ends_text(next)) return written;
    written.push_back(next);
    if (std::ssize(written) >= n) return written;
    step = cache_.begin_step();
    step.append(sequence, {next}, ab::Logits::last);
  }
}

bool Host::ends_text(ab::TokenId token) const {
  const std::vector<ab::TokenId>& eos = model_.end_of_text();
  return std::find(eos.begin(), eos.end(), token) != eos.end();
}

Cost Host::finish() {
  cost_.seconds = elapsed();
  if (progress_ == Progress::shown) show("\n");
  for (const std::string& violation : cache_.snapshot().check())
    ab::fail(ab::Status::internal, "the cache after '", name_, "': ", violation);
  return cost_;
}

void Host::fail_without_room(ab::Shortage shortage) const {
  ab::fail(ab::Status::no_room, fmt::format("the pass needs {} more pages than the {} that are free of {}",
                                            shortage.n_pages, shortage.n_free, cache_.n_pages()));
}

void Host::count(const ab::StepPlan& plan) {
  if (plan.n_rows() == 0) return;  // only the tree changes: the model has nothing to do
  ++cost_.n_passes;
  cost_.n_rows += plan.n_rows();
  cost_.n_slots = std::max(cost_.n_slots, (cache_.n_pages() - cache_.n_free_pages()) * cache_.page_size());
  if (progress_ == Progress::shown && isatty(STDERR_FILENO) != 0) show("");
}

void Host::show(const char* end) const {
  example::show_progress(
      fmt::format("  {}: {} passes, {} rows, {:.1f} s", name_, cost_.n_passes, cost_.n_rows, elapsed()), end);
}

double Host::elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

ab::TokenId likeliest(std::span<const float> logits) {
  return static_cast<ab::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Tokens Chat::opening(const std::string& question) const {
  const ab::hf::Message messages[] = {{"user", question}};
  return ab::hf::encode_chat(text_.tokenizer, text_.chat, messages);
}

Tokens Chat::exchange(const std::string& question, const std::string& answer) const {
  const ab::hf::Message messages[] = {{"user", question}, {"assistant", answer}};
  return ab::hf::encode_chat(text_.tokenizer, text_.chat, messages, {.answer_start = ab::hf::AnswerStart::none});
}

Tokens Chat::end_of_answer() const {
  Tokens answered = opening("x");
  for (const ab::TokenId token : encode("y")) answered.push_back(token);
  return rest_of(exchange("x", "y"), answered);
}

Tokens Chat::next_turn(const std::string& question) const {
  const ab::hf::Message messages[] = {{"user", "x"}, {"assistant", "y"}, {"user", question}};
  return rest_of(ab::hf::encode_chat(text_.tokenizer, text_.chat, messages), exchange("x", "y"));
}

std::string Chat::text(const Tokens& tokens) const {
  std::string text;
  text_.tokenizer(tokens, text);
  return text;
}

void print_costs(const std::vector<Side>& sides) {
  const auto row = [&](const char* name, const auto& value) {
    fmt::print("  {:<34}", name);
    for (const Side& side : sides) fmt::print("{:>14}", value(side));
    fmt::print("\n");
  };
  fmt::print("\n");
  row("", [](const Side& side) { return side.name; });
  row("passes", [](const Side& side) { return fmt::format("{}", side.rounds.front().n_passes); });
  row("rows: tokens through the model", [](const Side& side) { return fmt::format("{}", side.rounds.front().n_rows); });
  row("K/V slots held at most, whole pages", [](const Side& s) { return fmt::format("{}", s.rounds.front().n_slots); });
  row("seconds, median", [](const Side& side) { return fmt::format("{:.2f}", median(seconds_of(side))); });
  if (sides.front().rounds.size() > 1) {
    row("seconds, least and most", [](const Side& side) {
      const std::vector<double> seconds = seconds_of(side);
      const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
      return fmt::format("{:.2f}..{:.2f}", *least, *most);
    });
  }
  const double last = median(seconds_of(sides.back()));
  for (std::size_t i = 0; i + 1 < sides.size(); ++i)
    fmt::print("  '{}' took {:.2f}x the time of '{}'\n", sides[i].name, median(seconds_of(sides[i])) / last,
               sides.back().name);
}

int conclude(const std::string& claim, bool holds, const ab::torch::CausalLm& model) {
  const bool exact = model.weights() == ab::torch::Weights::float32;
  fmt::print("  {}: {}{}\n", claim, holds ? "yes" : "no",
             holds || exact ? "" : " (bfloat16 rounds differently with other numbers of rows; --weights f32 does not)");
  return holds || !exact ? 0 : 1;
}

void print_text(const std::string& heading, const std::string& text) {
  fmt::print("{}\n    ", heading);
  for (const char c : text) fmt::print("{}", c == '\n' ? std::string("\n    ") : std::string(1, c));
  fmt::print("\n");
}

void CommonOptions::add_to(CLI::App& app) {
  app.add_option("--model", model, "Hugging Face folder or GGUF file of a model")
      ->check(example::named())
      ->default_str(kModel);
  app.add_option("--weights", weights, "f32, bf16, auto: bf16 where the CPU multiplies it")
      ->check(CLI::IsMember(example::kWeights))
      ->capture_default_str();
  app.add_option("--threads", threads, "0: LibTorch's choice")->check(example::between(0, 1024))->capture_default_str();
  app.add_option("--rounds", rounds, "measure so often, the sides in turn")
      ->check(example::between(1, 1000))
      ->capture_default_str();
  app.add_flag("--quiet", quiet, "no progress on standard error");
}

ab::torch::CausalLm CommonOptions::load() const {
  ab::torch::LoadOptions options;
  options.weights = example::kWeights.at(weights);
  options.n_threads = threads;
  if (!quiet) options.on_progress = example::load_progress();
  ab::torch::CausalLm loaded = ab::torch::CausalLm::load(model, options);
  Host warm_up(loaded, {.n_tokens = 64, .n_sequences = 1}, "first pass", Progress::none);
  const ab::SequenceId sequence = warm_up.cache().create_sequence();
  ab::Step step = warm_up.cache().begin_step();
  step.append(sequence, Tokens(8, 0), ab::Logits::last);
  warm_up.write(std::move(step), sequence, 2);
  return loaded;
}

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  const std::string name = argc > 0 ? std::string(argv[0]).substr(std::string(argv[0]).rfind('/') + 1) : "loop";
  return example::guarded(name.c_str(), body);
}

}  // namespace loop
