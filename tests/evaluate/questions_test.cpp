#include "questions.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <anabranch/error.hpp>

#include "../catch.hpp"
#include "../hf/files.hpp"

using evaluate::Question;
using evaluate::read_questions;

namespace {

/// The error of reading a file with this content, without the folder in front of its name.
std::string error_for(std::string_view content) {
  const test::TemporaryFolder folder;
  const std::string file = folder / "some.jsonl";
  test::write(file, content);
  std::string error = test::error_of([&] { read_questions(file); });
  if (const std::size_t at = error.find(file); at != std::string::npos) error.replace(at, file.size(), "some.jsonl");
  return error;
}

}  // namespace

TEST_CASE("Our own questions and FastChat's are read alike") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "mt_bench");
  const std::string file = folder / "mt_bench/question.jsonl";
  test::write(
      file,
      R"({"question_id": 7, "category": "math", "turns": ["How much is half of it?", "And twice?"], "reference": []})"
      "\n\n"
      R"({"id": "b", "category": "fact", "prompt": "Who was it?"})");
  const std::vector<Question> questions = read_questions(file);
  REQUIRE(questions.size() == 2);
  CHECK(questions[0].set == "mt_bench/question");
  CHECK(questions[0].id == "7");
  CHECK(questions[0].category == "math");
  CHECK(questions[0].text == "How much is half of it?");
  CHECK(questions[1].set == "mt_bench/question");
  CHECK(questions[1].id == "b");
  CHECK(questions[1].text == "Who was it?");
}

TEST_CASE("The shipped questions can be read") {
  const std::filesystem::path folder = test::source_folder() / "examples/train/questions";
  CHECK(read_questions(folder / "nine_kinds.jsonl").size() == 90);
  CHECK(read_questions(folder / "serial.jsonl").size() == 40);
  CHECK(read_questions(folder / "serial.jsonl").front().set == "questions/serial");
}

TEST_CASE("A file of questions that is missing or malformed is named with its line and what is wanted") {
  CHECK(test::error_of([] { read_questions("no/such.jsonl"); }) ==
        "bad_file: no/such.jsonl: cannot be read; expected a file of questions, one JSON object a line");
  CHECK(error_for("\n \n") == "bad_file: some.jsonl: expected questions, found none");
  const std::string wanted =
      R"(: expected {"question_id" or "id": number or text, "category": text, "turns": [text, ...] or "prompt": text}, found )";
  const std::string good = R"({"id": 1, "category": "a", "prompt": "b"})"
                           "\n";
  CHECK(error_for(good + "{\"id\": 2, \"cat") ==
        "bad_file: some.jsonl, line 2" + wanted + "no JSON: {\"id\": 2, \"cat");
  for (const auto& [line, found] : std::vector<std::pair<std::string, std::string>>{
           {R"([1])", "[1]"},
           {R"({"category": "a", "prompt": "b"})", R"(no "question_id" or "id")"},
           {R"({"id": 2.5, "category": "a", "prompt": "b"})", "the id 2.5"},
           {R"({"id": 2, "prompt": "b"})", R"(no "category" that is a text)"},
           {R"({"id": 2, "category": 3, "prompt": "b"})", R"(no "category" that is a text)"},
           {R"({"id": 2, "category": "a"})", "no text to ask"},
           {R"({"id": 2, "category": "a", "turns": []})", "no text to ask"},
           {R"({"id": 2, "category": "a", "turns": [3]})", "no text to ask"}}) {
    INFO(line);
    CHECK(error_for(good + "\n" + line) == "bad_file: some.jsonl, line 3" + wanted + found);
  }
  CHECK(error_for(good + good) == "bad_file: some.jsonl, line 2: expected an id of its own, found 1 as in line 1");
}
