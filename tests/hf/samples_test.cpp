// Samples as JSON lines: what is read, what is written, and how the rest is refused.
#include <anabranch/hf/samples.hpp>

#include <anabranch/corpus/extract.hpp>

#include "catch.hpp"
#include "corpus/trees.hpp"
#include "files.hpp"

namespace ab = anabranch;
namespace corpus = ab::corpus;
using ab::hf::parse_sample;
using ab::hf::sample_line;
using Catch::Matchers::Contains;
using corpus::Sample;

TEST_CASE("a sample's parts keep their order, texts and nesting") {
  const Sample sample = parse_sample(
      R"({"prompt": "Q", "parts": [{"text": "a"},
          {"branches": [{"title": "T", "text": " b\n"},
                        {"title": "U", "parts": [{"text": " c"},
                                                 {"branches": [{"title": "V", "text": "d"},
                                                               {"title": "W", "text": "e"}]}]}]},
          {"text": "g"}]})",
      "sample");
  REQUIRE(sample.parts.size() == 3);
  CHECK(sample.id == "sample");
  CHECK(sample.prompt == "Q");
  CHECK(sample.parts[0].text == "a");
  REQUIRE(sample.parts[1].branches.size() == 2);
  CHECK(sample.parts[1].branches[0].title == "T");
  CHECK(sample.parts[1].branches[0].parts.at(0).text == " b\n");
  CHECK(sample.parts[1].branches[1].parts.at(1).branches.at(1).title == "W");
}

TEST_CASE("a file is read line by line, blank lines skipped, and a bad line is named") {
  const test::TemporaryFolder folder;
  test::write(folder / "s.jsonl",
              "{\"id\": \"x\", \"kind\": \"k\", \"system\": \"s\", \"prompt\": \"p\", \"parts\": []}\n\n"
              "{\"prompt\": \"q\", \"parts\": [{\"text\": \"\"}]}\n");
  const std::vector<Sample> samples = ab::hf::read_samples(folder / "s.jsonl");
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].id == "x");
  CHECK(samples[0].kind == "k");
  CHECK(samples[0].system == "s");
  CHECK(samples[1].id == (folder / "s.jsonl").string() + ":3");
  CHECK(samples[1].parts.empty());
  test::write(folder / "bad.jsonl", "\n{\"prompt\": 3, \"parts\": []}\n");
  CHECK_THAT(test::error_of([&] { ab::hf::read_samples(folder / "bad.jsonl"); }),
             Contains("bad.jsonl:2") && Contains("'prompt'") && Contains("3"));
  CHECK_THAT(test::error_of([&] { ab::hf::read_samples(folder / "none.jsonl"); }), Contains("none.jsonl"));
}

TEST_CASE("what is no sample is refused with key, expected and found") {
  const auto error = [](const char* json) { return test::error_of([&] { parse_sample(json, "here"); }); };
  CHECK_THAT(error("[1]"), Contains("here") && Contains("expected a JSON object"));
  CHECK_THAT(error("{"), Contains("not valid JSON"));
  CHECK_THAT(error(R"({"parts": []})"), Contains("'prompt'") && Contains("found nothing"));
  CHECK_THAT(error(R"({"prompt": "p"})"), Contains("'parts'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": {}})"), Contains("an array"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{}]})"), Contains("either 'text' or 'branches'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"text": "a", "branches": []}]})"), Contains("either"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": []}]})"), Contains("not empty"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": [{"text": "b"}]}]})"), Contains("'title'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": [{"title": "t"}]}]})"),
             Contains("either 'text' or 'parts'"));
}

TEST_CASE("a sample is one line of JSON and comes back from it") {
  Sample sample{"a1", "generic", "Say \"so\".",
                corpus::parts(corpus::extract("So:\n- A: é\n- B: y\n  - p: v\n  - q: w\n\nEnd."))};
  const std::string line = sample_line(sample);
  CHECK(line == R"({"id":"a1","kind":"generic","parts":[{"text":"So:\n"},{"branches":[{"text":" é\n","title":"A"},)"
                R"({"parts":[{"text":" y\n"},{"branches":[{"text":" v\n","title":"p"},{"text":" w\n","title":"q"}]}],)"
                R"("title":"B"}]},{"text":"\nEnd."}],"prompt":"Say \"so\"."})");
  const Sample back = parse_sample(line, "here");
  CHECK(back.id == sample.id);
  CHECK(back.kind == sample.kind);
  CHECK(back.prompt == sample.prompt);
  CHECK(back.system.empty());
  CHECK(ab::test::shown(back.parts) == ab::test::shown(sample.parts));
  CHECK(sample_line(back) == line);
  sample.system = "Be brief.";
  CHECK(parse_sample(sample_line(sample), "here").system == "Be brief.");
}

TEST_CASE("blocks are read as deep as answers may be cut, and no deeper") {
  const auto nested = [](int n_blocks) {
    std::string parts = R"([{"text": "x"}])";
    for (int i = 0; i < n_blocks; ++i) parts = R"([{"branches": [{"title": "t", "parts": )" + parts + "}]}]";
    return R"({"prompt": "p", "parts": )" + parts + "}";
  };
  const Sample deepest = parse_sample(nested(corpus::kMaxBlockDepth), "here");
  CHECK(parse_sample(sample_line(deepest), "here").parts.size() == 1);
  CHECK_THAT(test::error_of([&] { parse_sample(nested(corpus::kMaxBlockDepth + 1), "here"); }),
             Contains("deeper than 32"));
}
