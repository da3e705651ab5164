// The tool's pipeline without a model: samples, rejections, and going on where a run was stopped.
#include "pipeline.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include <anabranch/hf/samples.hpp>

#include "catch.hpp"
#include "corpus/trees.hpp"

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;
namespace fs = std::filesystem;

/// A folder that lives as long as this object.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("anabranch_corpus_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Ids of a file's samples, with `+` where there is a block.
std::string ids(const std::string& path) {
  std::string out;
  for (const corpus::Sample& sample : ab::hf::read_samples(path))
    out += sample.id + (corpus::has_block(sample.parts) ? "+ " : " ");
  return out;
}

const char* const kList = "1. **Rest**: Sleep eight hours.\n2. **Food**: Eat more fruit.\n";

void write_answers(const std::string& path, std::size_t n) {
  const std::string answers[] = {kList, "Paris.", "1. **Rest**: Sleep.\n2. **Rest**: Eat.\n",
                                 "So:\n" + std::string(kList), " "};
  std::ofstream file(path, std::ios::binary);
  for (std::size_t i = 0; i < n; ++i)
    file << nlohmann::json{{"id", std::string(1, static_cast<char>('a' + i))},
                           {"kind", "generic"},
                           {"prompt", "?"},
                           {"answer", answers[i]}}
         << '\n';
}

/// A model that finds every second branch dependent, or all but the first.
class FixedScorer : public corpus_tool::Scorer {
 public:
  explicit FixedScorer(double loss) : loss_(loss) {}
  std::vector<std::vector<corpus::BlockScores>> score(std::span<const corpus::Sample> samples) override {
    std::vector<std::vector<corpus::BlockScores>> out;
    for (const corpus::Sample& sample : samples) {
      out.emplace_back();
      for (const corpus::Part& part : sample.parts) {
        if (part.branches.empty()) continue;
        out.back().emplace_back(part.branches.size(), corpus::BranchScore{loss_, 0, 1});
        out.back().back().front().visible = 0;
      }
    }
    return out;
  }
  corpus::AnswerCounts count(const corpus::Sample&) override { return {}; }

 private:
  double loss_;
};

}  // namespace

TEST_CASE("answers become samples or rejections, each counted") {
  const Folder folder;
  write_answers(folder.file("in"), 5);
  const corpus_tool::PipelineOptions options{.in = folder.file("in"),
                                             .out = folder.file("out"),
                                             .rejected = folder.file("rejected"),
                                             .quiet = true,
                                             .batch = 2};
  const corpus_tool::Tally tally = corpus_tool::run_pipeline(options, nullptr);
  CHECK(ids(options.out) == "a+ b d+ ");
  CHECK(tally.n_parallel == 2);
  CHECK(tally.n_serial == 1);
  CHECK(tally.reasons.n_answers() == 5);
  CHECK(tally.reasons[corpus::Reason::title_repeated] == 1);
  CHECK(tally.reasons[corpus::Reason::body_too_short] == 1);
  CHECK(tally.reasons[corpus::Reason::empty_answer] == 1);
  CHECK(read(options.rejected).find(R"("reasons":["title_repeated","body_too_short"])") != std::string::npos);
  const std::string text = corpus_tool::tables(tally);
  CHECK(text.find("| samples with branches | 2 | 40.0 % |") != std::string::npos);
  CHECK(text.find("| title_repeated | 1 |") != std::string::npos);
}

TEST_CASE("a run that was stopped goes on, half a line at the end notwithstanding") {
  const Folder folder;
  write_answers(folder.file("in"), 5);
  const corpus_tool::PipelineOptions whole{
      .in = folder.file("in"), .out = folder.file("whole"), .rejected = folder.file("whole_rejected"), .quiet = true};
  const std::string expected = corpus_tool::tables(corpus_tool::run_pipeline(whole, nullptr));
  write_answers(folder.file("some"), 3);
  corpus_tool::PipelineOptions options = whole;
  options.in = folder.file("some");
  options.out = folder.file("out");
  options.rejected = folder.file("rejected");
  corpus_tool::run_pipeline(options, nullptr);
  std::ofstream(options.out, std::ios::app) << "{\"id\": \"d\", \"ki";
  options.in = folder.file("in");
  CHECK(corpus_tool::tables(corpus_tool::run_pipeline(options, nullptr)) == expected);
  CHECK(read(options.out) == read(whole.out));
  CHECK(read(options.rejected) == read(whole.rejected));
  CHECK(corpus_tool::tables(corpus_tool::run_pipeline(options, nullptr)) == expected);
  CHECK(read(options.out) == read(whole.out));
}

TEST_CASE("serial answers are left out when they are not wanted") {
  const Folder folder;
  write_answers(folder.file("in"), 2);
  const corpus_tool::PipelineOptions options{.in = folder.file("in"),
                                             .out = folder.file("out"),
                                             .rejected = folder.file("rejected"),
                                             .keep_serial = false,
                                             .quiet = true};
  CHECK(corpus_tool::run_pipeline(options, nullptr).n_skipped == 1);
  CHECK(corpus_tool::run_pipeline(options, nullptr).n_skipped == 1);
  CHECK(ids(options.out) == "a+ ");
}

TEST_CASE("dependent branches are merged; an answer without any left keeps its own marks") {
  const Folder folder;
  write_answers(folder.file("in"), 1);
  corpus_tool::PipelineOptions options{.in = folder.file("in"),
                                       .out = folder.file("out"),
                                       .rejected = folder.file("rejected"),
                                       .scores = folder.file("scores"),
                                       .quiet = true,
                                       .threshold = 0.25};
  FixedScorer independent(0.25);
  CHECK(corpus_tool::run_pipeline(options, &independent).n_branches_merged == 0);
  CHECK(ids(options.out) == "a+ ");
  CHECK(read(options.scores) == "{\"id\":\"a\",\"losses\":[[0.0,0.25]]}\n");
  fs::remove(options.out);
  FixedScorer dependent(0.5);
  const corpus_tool::Tally tally = corpus_tool::run_pipeline(options, &dependent);
  CHECK(tally.n_branches_merged == 1);
  CHECK(tally.n_dissolved == 1);
  CHECK(ids(options.out) == "a ");
  CHECK(corpus::reading_text(ab::hf::read_samples(options.out).at(0).parts) + "\n" == kList);
}

TEST_CASE("an answer that was cut is rejected, once, however whole it looks") {
  const Folder folder;
  std::ofstream(folder.file("in")) << R"({"id":"a","kind":"k","prompt":"?","answer":"Paris.","ended":"limit"})" << '\n'
                                   << R"({"id":"b","kind":"k","prompt":"?","answer":"Pa:","ended":"limit"})" << '\n';
  const corpus_tool::PipelineOptions options{
      .in = folder.file("in"), .out = folder.file("out"), .rejected = folder.file("rejected"), .quiet = true};
  const corpus_tool::Tally tally = corpus_tool::run_pipeline(options, nullptr);
  CHECK(tally.reasons.n_rejected() == 2);
  CHECK(tally.reasons[corpus::Reason::unfinished] == 2);
  CHECK(ids(options.out).empty());
}

TEST_CASE("a damaged line is named by file and number") {
  const Folder folder;
  write_answers(folder.file("in"), 1);
  std::ofstream(folder.file("in"), std::ios::app) << "\n{}\n";
  const corpus_tool::PipelineOptions options{
      .in = folder.file("in"), .out = folder.file("out"), .rejected = folder.file("rejected"), .quiet = true};
  try {
    corpus_tool::run_pipeline(options, nullptr);
    FAIL("not refused");
  } catch (const ab::Error& error) {
    CHECK_THAT(error.what(),
               Catch::Matchers::StartsWith(folder.file("in") + ", line 3: ") && Catch::Matchers::Contains("'id'"));
  }
}
