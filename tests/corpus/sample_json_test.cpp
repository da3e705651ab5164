// Samples as JSON lines: there and back, and what is refused.
#include "sample_json.hpp"

#include "catch.hpp"
#include "corpus/trees.hpp"

namespace {

namespace ab = anabranch;
namespace corpus = ab::corpus;

std::string refusal(std::string_view line) {
  try {
    sample_json::read_sample(line);
  } catch (const ab::Error& error) {
    CHECK(error.status() == ab::Status::bad_file);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a sample is one line of JSON and comes back from it") {
  const corpus::Sample sample{"a1", "generic", "Say \"so\".",
                              corpus::parts(corpus::extract("So:\n- A: é\n- B: y\n  - p: v\n  - q: w\n\nEnd."))};
  const std::string line = sample_json::write(sample);
  CHECK(line == R"({"id":"a1","kind":"generic","parts":[{"text":"So:\n"},{"branches":[{"text":" é\n","title":"A"},)"
                R"({"parts":[{"text":" y\n"},{"branches":[{"text":" v\n","title":"p"},{"text":" w\n","title":"q"}]}],)"
                R"("title":"B"}]},{"text":"\nEnd."}],"prompt":"Say \"so\"."})");
  const corpus::Sample back = sample_json::read_sample(line);
  CHECK(back.id == sample.id);
  CHECK(back.kind == sample.kind);
  CHECK(back.prompt == sample.prompt);
  CHECK(ab::test::shown(back.parts) == ab::test::shown(sample.parts));
  CHECK(sample_json::write(back) == line);
}

TEST_CASE("a plain answer comes back from its line") {
  const sample_json::PlainAnswer answer =
      sample_json::read_answer(sample_json::write(sample_json::PlainAnswer{"x", "maths", "1 + 1?", "2\n"}));
  CHECK(answer.id == "x");
  CHECK(answer.kind == "maths");
  CHECK(answer.prompt == "1 + 1?");
  CHECK(answer.answer == "2\n");
}

TEST_CASE("an answer says whether it was cut") {
  const auto cut = [](const std::string& more) {
    return sample_json::read_answer(R"({"id":"a","kind":"b","prompt":"c","answer":"d")" + more + "}").cut;
  };
  CHECK_FALSE(cut(""));
  CHECK_FALSE(cut(R"(,"ended":"end_of_text","cut_points":0)"));
  CHECK_FALSE(cut(R"(,"ended":"finished")"));
  CHECK(cut(R"(,"ended":"limit")"));
  CHECK(cut(R"(,"ended":"finished","cut_points":1)"));
  CHECK_THROWS_AS(cut(R"(,"cut_points":"one")"), ab::Error);
}

TEST_CASE("what is no sample is refused with the key") {
  const std::string head = R"({"id":"a","kind":"b","prompt":"c","parts":)";
  CHECK(refusal(head + "[]}").empty());
  CHECK(refusal("{") == "not a JSON object");
  CHECK(refusal("[]") == "not a JSON object");
  CHECK(refusal(R"({"id":1})") == "\"id\" must be a string");
  CHECK(refusal(R"({"id":"a","kind":"b","prompt":"c"})") == "\"parts\" must be an array");
  CHECK(refusal(head + "[1]}") == "a part must be an object");
  CHECK(refusal(head + "[{}]}") == "\"text\" must be a string");
  CHECK(refusal(head + "[{\"branches\":[]}]}") == "\"branches\" must hold at least one branch");
  CHECK(refusal(head + "[{\"branches\":[{\"title\":\"A\"}]}]}") == "\"text\" must be a string");
  std::string deep = "[]";
  for (int i = 0; i < 100; ++i) deep = R"([{"branches":[{"title":"A","parts":)" + deep + "}]}]";
  CHECK(refusal(head + deep + "}") == "parts are nested deeper than 64 levels");
}
