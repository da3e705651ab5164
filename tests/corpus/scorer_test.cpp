// The tool's scorer over the real model: which branches it finds dependent.
#include "scorer.hpp"

#include <cstdlib>
#include <filesystem>

#include "catch.hpp"
#include "corpus/trees.hpp"

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;

/// nullptr, and the test's output says why, when there is no model folder.
std::unique_ptr<corpus_tool::Scorer> real_scorer() {
  const char* folder = std::getenv("ANABRANCH_MODEL");
  const std::filesystem::path path = folder != nullptr ? folder : "build/models/smollm2-135m";
  if (std::filesystem::exists(path / "config.json"))
    return corpus_tool::load_scorer({.model = path.string(), .weights = "int8"});
  WARN("skipped: no model in " << path.string() << " (ANABRANCH_MODEL names the folder)");
  return nullptr;
}

corpus::Sample sample(std::string_view answer) {
  return {"x", "generic", "What should a sailor know about these two harbours?",
          corpus::parts(corpus::extract(answer))};
}

}  // namespace

TEST_CASE("a branch that takes up what its sibling said loses more than one that does not") {
  const auto scorer = real_scorer();
  if (scorer == nullptr) return;
  const corpus::Sample samples[] = {sample("1. **Weather**: Winters are mild, and the wind comes from the west.\n"
                                           "2. **Food**: The market sells fresh fish and bread every morning.\n"),
                                    sample("1. **Captain**: The captain is called Vorlik Tanzerini.\n"
                                           "2. **Owner**: Vorlik Tanzerini, the captain, is the owner too.\n"),
                                    sample("Nothing at all.")};
  const auto scores = scorer->score(samples);
  REQUIRE(scores.size() == 3);
  REQUIRE(scores[0].size() == 1);
  REQUIRE(scores[0][0].size() == 2);
  CHECK(std::abs(scores[0][0][0].loss()) < 1e-4);
  CHECK(scores[0][0][0].n_tokens > 8);
  CHECK(scores[1][0][1].loss() > scores[0][0][1].loss() + 1.0);
  CHECK(scores[2].empty());
  // With int8 weights a row's logits do not depend on what else is in the pass.
  for (std::size_t i = 0; i < 2; ++i) {
    const auto alone = scorer->score(std::span(samples).subspan(i, 1));
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(alone[0][0][k].visible == scores[i][0][k].visible);
      CHECK(alone[0][0][k].hidden == scores[i][0][k].hidden);
    }
  }
  CHECK(scorer->count(samples[0]).n_branches == 2);
}
