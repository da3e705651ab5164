// Plain answers to training samples:
//
//     anabranch_corpus --in answers.jsonl --out samples.jsonl [--model FOLDER] [--report FILE]
//
// Answers are cut into branches, checked, and, with a model, freed of branches that depend on their siblings. What was
// done already is not done again, so a run that was stopped goes on where it was.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fstream>
#include <memory>

#include <anabranch/error.hpp>

#include "../../common/guarded.hpp"
#include "../../common/numbers.hpp"
#include "../../common/usage.hpp"
#include "pipeline.hpp"

namespace {

namespace ab = anabranch;

struct Options {
  corpus_tool::PipelineOptions pipeline;
  corpus_tool::ScorerOptions scorer;
  std::string report;
  std::string serial = "keep";
  std::string starts = "successive";
};

void add_files(CLI::App& app, Options& o) {
  app.add_option("--in", o.pipeline.in, R"(JSON lines {"id", "kind", "prompt", "answer"})")->required();
  app.add_option("--out", o.pipeline.out, "samples as JSON lines; ids that are there are skipped")->required();
  app.add_option("--rejected", o.pipeline.rejected, "rejected answers with reasons; default: OUT.rejected");
  app.add_option("--scores", o.pipeline.scores, "what each branch loses without its siblings, as JSON lines");
  app.add_option("--metrics", o.pipeline.metrics, "how much each sample repeats itself, as JSON lines");
  app.add_option("--report", o.report, "the tables, beside standard output");
  app.add_option("--serial", o.serial, "answers without branches: keep, drop")
      ->check(CLI::IsMember({"keep", "drop"}))
      ->capture_default_str();
  app.add_option("--batch", o.pipeline.batch, "answers between two writes")
      ->check(example::between(1, 4096))
      ->capture_default_str();
  app.add_flag("--quiet", o.pipeline.quiet, "no progress on standard error");
}

void add_limits(CLI::App& app, Options& o) {
  ab::corpus::FormatLimits& l = o.pipeline.limits;
  app.add_option("--max-depth", l.max_depth, "levels of blocks; deeper ones stay text")
      ->check(example::between(1, ab::corpus::kMaxBlockDepth))
      ->capture_default_str();
  app.add_option("--min-branches", l.min_branches, "of a block")->check(example::at_least(1))->capture_default_str();
  app.add_option("--max-branches", l.max_branches, "of a block")->check(example::at_least(1))->capture_default_str();
  app.add_option("--min-words", l.min_body_words, "of a branch")->check(example::at_least(0))->capture_default_str();
  app.add_option("--max-words", l.max_body_words, "of a branch")->check(example::at_least(1))->capture_default_str();
  app.add_option("--max-overlap", l.max_overlap, "share of word 3-grams that two branches have in common")
      ->check(example::between(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--max-repeated", l.max_repeated_ngrams, "share of word 4-grams that come again within a branch")
      ->check(example::between(0.0, 1.0))
      ->capture_default_str();
}

void add_model(CLI::App& app, Options& o) {
  app.add_option("--model", o.scorer.model, "Hugging Face folder: merge branches that depend on their siblings");
  app.add_option("--weights", o.scorer.weights, "auto, f32, bf16, int8")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
  app.add_option("--threshold", o.pipeline.threshold, "nats per token that a branch may lose")->capture_default_str();
  app.add_option("--max-rows", o.scorer.max_rows, "tokens of a pass")
      ->check(example::between(1, 65536))
      ->capture_default_str();
  app.add_option("--starts", o.starts, "positions of the branches: successive, together")
      ->check(CLI::IsMember({"successive", "together"}))
      ->capture_default_str();
}

void run(Options& o) {
  o.pipeline.keep_serial = o.serial == "keep";
  o.pipeline.extract.max_depth = o.pipeline.parts.max_depth = o.pipeline.limits.max_depth;
  if (o.pipeline.rejected.empty()) o.pipeline.rejected = o.pipeline.out + ".rejected";
  if (o.starts == "together") o.scorer.starts = ab::corpus::BranchStarts::together;
  std::unique_ptr<corpus_tool::Scorer> scorer;
  if (!o.scorer.model.empty()) scorer = corpus_tool::load_scorer(o.scorer);
  const std::string text = corpus_tool::tables(corpus_tool::run_pipeline(o.pipeline, scorer.get()));
  fmt::print("{}", text);
  if (o.report.empty()) return;
  std::ofstream file(o.report, std::ios::binary);
  file << text;
  if (!file.flush()) ab::fail(ab::Status::bad_file, fmt::format("cannot write {}", o.report));
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Cuts plain answers into branches, checks them, and writes training samples"};
  add_files(app, o);
  add_limits(app, o);
  add_model(app, o);
  if (const auto ended = example::parse(app, argc, argv)) return *ended;
  return example::guarded("corpus", [&] { run(o); });
}
