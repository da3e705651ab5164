#include "prompts.hpp"

#include <set>
#include <utility>

#include <anabranch/error.hpp>
#include <nlohmann/json.hpp>

namespace answers {
namespace {

namespace ab = anabranch;
using Json = nlohmann::json;

/// visit(object) for every line; what it throws becomes an error that names file and line.
template <class Visit>
void for_each_line(const std::filesystem::path& file, Visit&& visit) {
  std::ifstream in(file);
  if (!in) ab::fail(ab::Status::bad_file, file.string() + ": cannot be read");
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    try {
      visit(Json::parse(line));
    } catch (const Json::exception& error) {
      ab::fail(ab::Status::bad_file, file.string() + ", line " + std::to_string(number) + ": " + error.what());
    }
  }
}

}  // namespace

std::vector<Prompt> read_prompts(const std::filesystem::path& file) {
  std::vector<Prompt> prompts;
  for_each_line(file, [&](const Json& line) {
    prompts.push_back({line.at("id").get<std::string>(), line.at("kind").get<std::string>(),
                       line.at("prompt").get<std::string>(), line.value("opening", ""), line.value("points", 0)});
  });
  return prompts;
}

std::vector<Task> tasks_left(const std::vector<Prompt>& prompts, std::int32_t n_samples,
                             const std::filesystem::path& file) {
  std::set<std::pair<std::string, std::int32_t>> written;
  if (std::filesystem::exists(file))
    for_each_line(file, [&](const Json& line) {
      written.emplace(line.at("prompt_id").get<std::string>(), line.at("sample").get<std::int32_t>());
    });
  std::vector<Task> tasks;
  for (std::int32_t sample = 0; sample < n_samples; ++sample)
    for (const Prompt& prompt : prompts)
      if (written.count({prompt.id, sample}) == 0) tasks.push_back({&prompt, sample});
  return tasks;
}

}  // namespace answers
