// Plain answers as JSON objects: what is read, and what is refused.
#include "plain_answer.hpp"

#include "catch.hpp"

using nlohmann::ordered_json;

TEST_CASE("a plain answer is read with its four texts") {
  const corpus_tool::PlainAnswer answer = corpus_tool::plain_answer(
      {{"id", "x"}, {"kind", "maths"}, {"prompt", "1 + 1?"}, {"answer", "2\n"}, {"sample", 3}});
  CHECK(answer.id == "x");
  CHECK(answer.kind == "maths");
  CHECK(answer.prompt == "1 + 1?");
  CHECK(answer.answer == "2\n");
}

TEST_CASE("an answer says whether it was cut") {
  const auto cut = [](const std::string& more) {
    return corpus_tool::plain_answer(
               ordered_json::parse(R"({"id":"a","kind":"b","prompt":"c","answer":"d")" + more + "}"))
        .cut;
  };
  CHECK_FALSE(cut(""));
  CHECK_FALSE(cut(R"(,"ended":"end_of_text","cut_points":0)"));
  CHECK_FALSE(cut(R"(,"ended":"finished")"));
  CHECK(cut(R"(,"ended":"limit")"));
  CHECK(cut(R"(,"ended":"finished","cut_points":1)"));
  CHECK_THROWS_AS(cut(R"(,"cut_points":"one")"), nlohmann::json::exception);
}

TEST_CASE("what is no answer is refused with the key") {
  const auto refused = [](const char* json) { corpus_tool::plain_answer(ordered_json::parse(json)); };
  CHECK_THROWS_WITH(refused(R"({"id":"a","kind":"b","prompt":"c"})"), Catch::Matchers::Contains("answer"));
  CHECK_THROWS_AS(refused(R"({"id":1,"kind":"b","prompt":"c","answer":"d"})"), nlohmann::json::exception);
  CHECK_THROWS_AS(refused("[]"), nlohmann::json::exception);
}
