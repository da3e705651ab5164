#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <anabranch/error.hpp>
#include <anabranch/torch/generate.hpp>

#include "../catch.hpp"
#include "prompts.hpp"
#include "writer.hpp"

namespace {

namespace ab = anabranch;
namespace fs = std::filesystem;

/// A folder of its own that goes when the test ends.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("anabranch_answers_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path file(const char* name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
};

std::vector<std::string> texts_of(ab::torch::CausalLm& model, const std::vector<answers::Task>& tasks,
                                  const answers::Settings& settings) {
  std::map<const answers::Prompt*, std::string> texts;
  answers::write_answers(model, tasks, settings, [&](const answers::Written& w) { texts[w.task.prompt] = w.text; });
  std::vector<std::string> in_order;
  for (const answers::Task& task : tasks) in_order.push_back(texts.at(task.prompt));
  return in_order;
}

}  // namespace

TEST_CASE("prompts are read, and what is answered already is not asked again") {
  const Folder folder;
  const auto prompts = answers::read_prompts(folder.file(
      "prompts.jsonl", R"({"id": "a", "kind": "generic", "prompt": "How?", "opening": "So:\n\n", "points": 5}
{"id": "b", "kind": "serial-fact", "prompt": "What?"})"));
  REQUIRE(prompts.size() == 2);
  CHECK(prompts[0].opening == "So:\n\n");
  CHECK(prompts[0].n_points == 5);
  CHECK(prompts[1].n_points == 0);
  CHECK(answers::tasks_left(prompts, 2, folder.path / "none.jsonl").size() == 4);
  const fs::path done = folder.file("answers.jsonl", R"({"prompt_id": "a", "sample": 1})");
  const auto left = answers::tasks_left(prompts, 2, done);
  REQUIRE(left.size() == 3);
  for (const answers::Task& task : left) CHECK_FALSE((task.prompt->id == "a" && task.sample == 1));
}

TEST_CASE("a damaged line of prompts is named") {
  const Folder folder;
  const fs::path file =
      folder.file("prompts.jsonl", "{\"id\": \"a\", \"kind\": \"k\", \"prompt\": \"p\"}\n{\"id\": 3}\n");
  try {
    answers::read_prompts(file);
    FAIL("no error");
  } catch (const ab::Error& error) {
    CHECK(error.status() == ab::Status::bad_file);
    CHECK(std::string(error.what()).find("prompts.jsonl, line 2") != std::string::npos);
  }
}

TEST_CASE("an answer does not depend on those that are written beside it") {
  auto model = ab::torch::CausalLm::load(std::getenv("ANABRANCH_MODEL"), {.weights = ab::torch::Weights::int8});
  const answers::Prompt walk{"a", "generic", "What are the benefits of walking?", "Walking has benefits:\n\n", 3};
  const answers::Prompt swim{"b", "generic", "What are the benefits of swimming?", "Swimming has benefits:\n\n", 3};
  const answers::Settings settings{.max_branch_tokens = 24, .n_at_once = 2};
  const auto together = texts_of(model, {{&walk, 0}, {&swim, 0}}, settings);
  const auto alone = texts_of(model, {{&swim, 0}}, settings);
  CHECK(together[1] == alone[0]);
  CHECK(together[0].rfind("Walking has benefits:\n\n1. **", 0) == 0);
  CHECK(together[0].find("\n2. **") != std::string::npos);

  const answers::Prompt fact{"c", "serial-fact", "What is the capital of France?", "", 0};
  const auto serial = texts_of(model, {{&fact, 0}}, {.sampling = {}, .max_tokens = 24});
  const ab::GenerateOptions same{.markup = ab::MarkupKind::serial, .request = {.max_tokens = 24}};
  CHECK(serial[0] == ab::torch::generate(model, fact.text, same).text);
}
