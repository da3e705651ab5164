#include "pipeline.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include <anabranch/corpus/words.hpp>
#include <anabranch/error.hpp>
#include <anabranch/hf/samples.hpp>

#include "../../common/json_lines.hpp"
#include "../../common/line_file.hpp"
#include "../../common/progress_line.hpp"
#include "plain_answer.hpp"

namespace corpus_tool {
namespace {

namespace corpus = ab::corpus;
using corpus::Finding;
using corpus::Sample;
using example::json_line;
using example::LineFile;
using Json = nlohmann::ordered_json;

/// One answer on its way.
struct Candidate {
  PlainAnswer plain;
  Sample sample;
  std::vector<Finding> findings;
  std::vector<corpus::BlockScores> scores;
  bool parallel() const { return findings.empty() && corpus::has_block(sample.parts); }
};

class Pipeline {
 public:
  Pipeline(const PipelineOptions& options, Scorer* scorer)
      : options_(options), scorer_(scorer), out_(options.out), rejected_(options.rejected) {
    if (!options.scores.empty()) scores_ = LineFile(options.scores);
    if (!options.metrics.empty()) metrics_ = LineFile(options.metrics);
    read_old();
  }

  Tally run() {
    std::vector<Candidate> batch;
    example::for_each_json_line(options_.in, [&](const Json& line) {
      PlainAnswer plain = plain_answer(line);
      if (!seen_.insert(plain.id).second) return;
      batch.push_back(judge(std::move(plain)));
      if (batch.size() >= options_.batch) finish(batch);
    });
    finish(batch);
    if (!options_.quiet) show("\n");
    return std::move(tally_);
  }

 private:
  /// What earlier runs wrote: their ids are not done again, and counted.
  void read_old() {
    std::set<std::string> measured;
    if (!options_.metrics.empty())
      example::for_each_json_line(options_.metrics,
                                  [&](const Json& line) { measured.insert(line.at("id").get<std::string>()); });
    for (const Sample& sample : ab::hf::read_samples(options_.out)) {
      seen_.insert(sample.id);
      if (measured.count(sample.id) == 0) write_metrics(sample);
      tally_.reasons.add({});
      ++(corpus::has_block(sample.parts) ? tally_.n_parallel : tally_.n_serial);
    }
    example::for_each_json_line(options_.rejected, [&](const Json& line) {
      seen_.insert(line.at("id").get<std::string>());
      std::vector<Finding> findings;
      for (std::size_t i = 0; i < corpus::kReasons; ++i)
        for (const Json& name : line.at("reasons"))
          if (name == reason_name(static_cast<corpus::Reason>(i)))
            findings.push_back({static_cast<corpus::Reason>(i), ""});
      if (findings.empty()) ++tally_.n_skipped;
      tally_.reasons.add(findings);
    });
  }

  Candidate judge(PlainAnswer plain) const {
    Candidate c{std::move(plain), {}, {}, {}};
    const corpus::BranchText tree = corpus::extract(c.plain.answer, options_.extract);
    c.sample = {c.plain.id, c.plain.kind, c.plain.prompt, corpus::parts(tree, options_.parts)};
    c.findings = corpus::check_round_trip(tree, c.plain.answer);
    if (c.plain.cut) c.findings.push_back({corpus::Reason::unfinished, "the answer says that it was cut"});
    for (Finding& finding : corpus::check_format(c.sample.parts, options_.limits))
      c.findings.push_back(std::move(finding));
    return c;
  }

  void finish(std::vector<Candidate>& batch) {
    if (scorer_ != nullptr) score(batch);
    for (Candidate& candidate : batch) write(candidate);
    for (LineFile* file : {&out_, &rejected_, &scores_, &metrics_}) file->flush();
    batch.clear();
    if (!options_.quiet && isatty(STDERR_FILENO) != 0) show("");
  }

  void score(std::vector<Candidate>& batch) {
    std::vector<Sample> samples;
    std::vector<Candidate*> candidates;
    for (Candidate& candidate : batch) {
      if (!candidate.parallel()) continue;
      samples.push_back(candidate.sample);
      candidates.push_back(&candidate);
    }
    auto scores = scorer_->score(samples);
    for (std::size_t i = 0; i < candidates.size(); ++i)
      if (!scores[i].empty()) merge(*candidates[i], std::move(scores[i]));
  }

  void merge(Candidate& c, std::vector<corpus::BlockScores> scores) {
    c.scores = std::move(scores);
    for (const corpus::BlockScores& block : c.scores)
      for (const corpus::BranchScore& branch : block) {
        ++tally_.n_branches_scored;
        tally_.n_branches_merged += branch.loss() > options_.threshold ? 1 : 0;
      }
    c.sample.parts = corpus::merge_dependent(c.sample.parts, c.scores, options_.threshold);
    if (corpus::has_block(c.sample.parts)) return;
    ++tally_.n_dissolved;  // no branch is left, so the answer keeps its own marks
    c.sample.parts = corpus::parts(corpus::extract(c.plain.answer, {.max_depth = 0}));
  }

  void write(const Candidate& c) {
    tally_.reasons.add(c.findings);
    if (!c.scores.empty()) write_scores(c);
    if (!c.findings.empty()) return write_rejected(c);
    const bool parallel = corpus::has_block(c.sample.parts);
    if (!parallel && !options_.keep_serial) {
      ++tally_.n_skipped;
      return write_rejected(c);
    }
    ++(parallel ? tally_.n_parallel : tally_.n_serial);
    if (scorer_ != nullptr) tally_.counts.push_back(scorer_->count(c.sample));
    out_.write(ab::hf::sample_line(c.sample));
    write_metrics(c.sample);
  }

  void write_metrics(const Sample& sample) {
    if (options_.metrics.empty()) return;
    const std::string text = corpus::reading_text(sample.parts);
    metrics_.write(json_line({{"id", sample.id}, {"repetition", corpus::repetition(text)}}));
  }

  /// A serial answer that is not wanted has no reasons.
  void write_rejected(const Candidate& c) {
    Json names = Json::array();
    Json texts = Json::array();
    std::set<corpus::Reason> reasons;
    for (const Finding& finding : c.findings) {
      if (reasons.insert(finding.reason).second) names.push_back(reason_name(finding.reason));
      texts.push_back(finding.text);
    }
    rejected_.write(json_line({{"findings", std::move(texts)}, {"id", c.plain.id}, {"reasons", std::move(names)}}));
  }

  void write_scores(const Candidate& c) {
    if (options_.scores.empty()) return;
    Json blocks = Json::array();
    for (const corpus::BlockScores& block : c.scores) {
      Json losses = Json::array();
      for (const corpus::BranchScore& branch : block) losses.push_back(branch.loss());
      blocks.push_back(std::move(losses));
    }
    scores_.write(json_line({{"id", c.plain.id}, {"losses", std::move(blocks)}}));
  }

  void show(const char* end) const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    example::show_progress(
        fmt::format("  {} answers: {} with branches, {} serial, {} rejected, {:.1f} s", tally_.reasons.n_answers(),
                    tally_.n_parallel, tally_.n_serial, tally_.reasons.n_rejected(), seconds),
        end);
  }

  const PipelineOptions& options_;
  Scorer* scorer_;
  LineFile out_;
  LineFile rejected_;
  LineFile scores_;
  LineFile metrics_;
  std::set<std::string> seen_;
  Tally tally_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

Tally run_pipeline(const PipelineOptions& options, Scorer* scorer) { return Pipeline(options, scorer).run(); }

}  // namespace corpus_tool
