// Asks a model questions and shows the branches of its answers as they grow together. Without a question, on a
// terminal, it holds a conversation.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <anabranch/fmt.hpp>
#include <anabranch/torch/conversation.hpp>
#include <anabranch/torch/generate.hpp>

#include "../common/data.hpp"
#include "../common/guarded.hpp"
#include "../common/load_progress.hpp"
#include "../common/numbers.hpp"
#include "../common/ranks.hpp"
#include "../common/shipped.hpp"
#include "../common/usage.hpp"
#include "converse.hpp"
#include "session.hpp"

namespace ab = anabranch;

namespace {

using example::kAdapter;
using example::kModel;
using example::kPenalty;
using example::kWeights;

struct Options {
  chat::Session session;
  std::string model;  // empty: kModel with kAdapter
  std::string adapter;
  std::string markup = "model";
  std::string positions = "model";
  std::string weights = "auto";
  std::int32_t threads = 0;
  std::int32_t ranks = 1;
  double rank_limit = 30;
  std::string drafts = "off";
  bool row_costs = false;
  ab::GenerateOptions generate{
      .request = {.max_tokens = ab::torch::kMaxTokens, .max_branch_tokens = ab::torch::kMaxBranchTokens}};
};

const std::map<std::string, ab::MarkupKind> kMarkups{
    {"serial", ab::MarkupKind::serial}, {"skeleton", ab::MarkupKind::skeleton}, {"aspd", ab::MarkupKind::aspd}};

void add_options(CLI::App& app, Options& o) {
  chat::add_question(app, o.session);
  app.add_option("--model", o.model,
                 "Hugging Face folder or GGUF file of a model, or its name on the hub if it was fetched")
      ->check(example::named())
      ->default_str(kModel);
  app.add_option("--adapter", o.adapter, "PEFT LoRA folder to merge into the model")
      ->default_str(std::string(kAdapter) + ", without --model and --markup");
  app.add_option("--markup", o.markup, "serial (no branches), skeleton, aspd; model: what it was trained for")
      ->check(CLI::IsMember({"model", "serial", "skeleton", "aspd"}))
      ->capture_default_str();
  app.add_option("--positions", o.positions, "sequential, longest; model: what it was trained with")
      ->check(CLI::IsMember({"model", "sequential", "longest"}))
      ->capture_default_str();
  chat::add_options(app, o.session);
  chat::add_generate_options(app, o.generate);
  app.get_option("--repetition-penalty")
      ->default_str(fmt::format("{} with the adapter of this repository, the model's own, else 1", kPenalty));
  app.add_flag("!--repeat-titles", o.generate.unique_titles, "aspd: let a title come twice in an answer");
  app.add_option("--weights", o.weights, "auto, f32, bf16, int8; auto: the fastest here, measured")
      ->check(CLI::IsMember(kWeights))
      ->capture_default_str();
  app.add_option("--threads", o.threads, "0: LibTorch's choice")->check(example::at_least(0))->capture_default_str();
  app.add_option("--ranks", o.ranks, "processes that share the model, started by mpirun; they answer questions")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--rank-limit", o.rank_limit, "seconds that one of them may wait for another")
      ->check(example::above(0))
      ->capture_default_str();
  app.add_option("--drafts", o.drafts,
                 "copy: what followed the last tokens where they came before is fed ahead, where it pays; same text")
      ->check(CLI::IsMember({"off", "copy"}))
      ->capture_default_str();
  app.add_flag("--row-costs", o.row_costs, "first measure and draw what a pass costs by its number of rows");
}

/// Takes the model of this repository when none is named, and its adapter when nothing else is asked of it.
void fill_in(const CLI::App& app, Options& o) {
  if (!o.model.empty()) return;
  o.model = example::data(kModel);
  if (app.count("--adapter") + app.count("--markup") > 0) return;
  o.adapter = example::data(kAdapter);
  ab::SamplingOptions& sampling = o.generate.request.sampling;
  if (!sampling.temperature) sampling.temperature = 0.0f;  // as it was measured
  if (!sampling.repetition_penalty) sampling.repetition_penalty = kPenalty;
}

/// Measures the curve, draws it, and hands it to the decoder.
void show_row_costs(const ab::torch::CausalLm& model, ab::GenerateOptions& options) {
  auto costs = std::make_shared<const ab::RowCosts>(model.measure_row_costs());
  for (const std::int32_t n_keys : costs->keys()) fmt::print("{}\n", ab::draw(*costs, n_keys));
  options.row_costs = std::move(costs);
}

int run(Options o, example::Ranks& ranks) {
  if (chat::has_question(o.session) && ranks.leads()) chat::collect_questions(o.session);
  if (o.positions != "model")
    o.generate.positions = o.positions == "longest" ? ab::Positions::longest : ab::Positions::sequential;
  o.generate.drafts = o.drafts == "copy" ? ab::DraftKind::copy : ab::DraftKind::off;
  ab::torch::LoadOptions load;
  load.weights = kWeights.at(o.weights);
  load.n_threads = o.threads;
  load.ranks = ranks.collective();
  if (ranks.leads()) load.on_progress = example::load_progress();
  if (!o.adapter.empty()) load.adapter = o.adapter;
  ab::torch::CausalLm model = ab::torch::CausalLm::load(o.model, load);
  if (!ranks.leads()) {
    model.follow();
    return 0;
  }
  o.session.weights = ab::torch::weights_name(model.weights());
  if (o.row_costs) show_row_costs(model, o.generate);
  const std::string markup = o.markup == "model" ? ab::hf::markup_name(model.text().markup.markup) : o.markup;
  if (!chat::has_question(o.session)) {
    o.generate.markup = kMarkups.at(markup);
    ab::torch::Conversation conversation(model, o.generate);
    chat::converse(conversation, {markup, o.session.mode == "serial" && markup != "serial"}, o.session.quiet);
    return 0;
  }
  return chat::run(o.session, markup,
                   [&](const chat::Way& way, chat::Watchers& watch, const std::vector<std::string>& questions) {
                     ab::GenerateOptions options = o.generate;
                     options.markup = kMarkups.at(way.markup);
                     chat::set_up(options, way, watch);
                     return ab::torch::generate(model, questions, options);
                   });
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Answers questions with branches that are decoded together"};
  add_options(app, options);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  if (!chat::has_question(options.session) && !chat::can_converse(options.session)) return chat::explain(app);
  if (options.ranks > 1 && !chat::has_question(options.session)) {
    fmt::print(stderr, "error: --ranks {} needs a question: a conversation waits for its user, and ranks do not\n",
               options.ranks);
    return example::kWrongUsage;
  }
  fill_in(app, options);
  return example::with_ranks({"chat", options.ranks, options.rank_limit},
                             [&](example::Ranks& ranks) { return run(std::move(options), ranks); });
}
