// Reading samples: what is accepted, and what is said about the rest.
#include <anabranch/train/sample.hpp>

#include "catch.hpp"
#include "train/support.hpp"

namespace ab = anabranch;
using ab::train::parse_sample;
using ab::train::Sample;
using Catch::Matchers::Contains;

TEST_CASE("a sample's parts keep their order, texts and nesting") {
  const Sample sample = ab::test::nested_sample();
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
  const std::vector<Sample> samples = ab::train::read_samples(folder / "s.jsonl");
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].id == "x");
  CHECK(samples[0].kind == "k");
  CHECK(samples[0].system == "s");
  CHECK(samples[1].parts.empty());
  test::write(folder / "bad.jsonl", "\n{\"prompt\": 3, \"parts\": []}\n");
  CHECK_THAT(test::error_of([&] { ab::train::read_samples(folder / "bad.jsonl"); }),
             Contains("bad.jsonl:2") && Contains("'prompt'") && Contains("3"));
  CHECK_THAT(test::error_of([&] { ab::train::read_samples(folder / "none.jsonl"); }), Contains("none.jsonl"));
}

TEST_CASE("what is no sample is refused with key, expected and found") {
  const auto error = [](const char* json) { return test::error_of([&] { parse_sample(json, "here"); }); };
  CHECK_THAT(error("[1]"), Contains("here") && Contains("not a JSON object"));
  CHECK_THAT(error("{"), Contains("not a JSON object"));
  CHECK_THAT(error(R"({"parts": []})"), Contains("'prompt'") && Contains("found nothing"));
  CHECK_THAT(error(R"({"prompt": "p"})"), Contains("'parts'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": {}})"), Contains("a list"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{}]})"), Contains("either 'text' or 'branches'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"text": "a", "branches": []}]})"), Contains("either"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": []}]})"), Contains("not empty"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": [{"text": "b"}]}]})"), Contains("'title'"));
  CHECK_THAT(error(R"({"prompt": "p", "parts": [{"branches": [{"title": "t"}]}]})"),
             Contains("either 'text' or 'parts'"));
  std::string deep = R"([{"text": "x"}])";
  for (int i = 0; i < 20; ++i) deep = R"([{"branches": [{"title": "t", "parts": )" + deep + "}]}]";
  CHECK_THAT(error((R"({"prompt": "p", "parts": )" + deep + "}").c_str()), Contains("deeper than 16"));
}
