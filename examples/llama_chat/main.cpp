// The chat over llama.cpp: any GGUF file of an instruct model, its points decoded side by side in one unified KV cache.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <anabranch/llama/generate.hpp>

#include "../common/data.hpp"
#include "../common/guarded.hpp"
#include "../common/numbers.hpp"
#include "../common/usage.hpp"
#include "session.hpp"

namespace ab = anabranch;

namespace {

constexpr const char* kModel = "build/models/smollm2-135m-q4_1.gguf";

struct Options {
  chat::Session session;
  std::string model;
  std::string markup = "skeleton";
  ab::llama::GgufOptions load;
  ab::GenerateOptions generate{
      .request = {.max_tokens = ab::llama::kMaxTokens, .max_branch_tokens = ab::llama::kMaxBranchTokens}};
};

void add_options(CLI::App& app, Options& o) {
  chat::add_question(app, o.session);
  app.add_option("--model", o.model, "GGUF file of an instruct model; or the first argument, if it ends in .gguf")
      ->check(example::named())
      ->default_str(kModel);
  app.add_option("--markup", o.markup, "serial (no branches), skeleton")
      ->check(CLI::IsMember({"serial", "skeleton"}))
      ->capture_default_str();
  chat::add_options(app, o.session);
  chat::add_generate_options(app, o.generate);
  app.add_option("--cells", o.load.n_cells, "tokens in llama.cpp's KV cache")
      ->check(example::at_least(1))
      ->capture_default_str();
  app.add_option("--threads", o.load.n_threads, "0: one per core")->check(example::at_least(0))->capture_default_str();
}

/// Takes the model from in front of the question, else this repository's.
void fill_in(Options& o) {
  std::vector<std::string>& arguments = o.session.arguments;
  if (o.model.empty() && !arguments.empty() && arguments.front().ends_with(".gguf")) {
    o.model = arguments.front();
    arguments.erase(arguments.begin());
  }
  if (o.model.empty()) o.model = example::data(kModel);
}

int run(Options o) {
  chat::collect_questions(o.session);
  std::fprintf(stderr, "loading the model ...\n");
  const ab::llama::GgufModel model = ab::llama::GgufModel::load(o.model, o.load);
  return chat::run(o.session, o.markup,
                   [&](const chat::Way& way, chat::Watchers& watch, const std::vector<std::string>& questions) {
                     ab::GenerateOptions options = o.generate;
                     options.markup = way.markup == "serial" ? ab::MarkupKind::serial : ab::MarkupKind::skeleton;
                     chat::set_up(options, way, watch);
                     return ab::llama::generate(model, questions, options);
                   });
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Answers questions with branches that llama.cpp decodes together"};
  add_options(app, options);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  if (!chat::has_question(options.session)) return chat::explain(app);
  fill_in(options);
  return example::guarded("llama_chat", [&] { return run(std::move(options)); });
}
