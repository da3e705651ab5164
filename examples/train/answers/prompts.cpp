#include "prompts.hpp"

#include <set>
#include <utility>

#include "../../common/json_lines.hpp"

namespace answers {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::vector<Prompt> read_prompts(const std::filesystem::path& file) {
  std::vector<Prompt> prompts;
  example::for_each_json_line(file, [&](const Json& line) {
    prompts.push_back({line.at("id").get<std::string>(), line.at("kind").get<std::string>(),
                       line.at("prompt").get<std::string>(), line.value("opening", ""), line.value("points", 0),
                       line.value("least_tokens", 0)});
  });
  return prompts;
}

std::vector<Task> tasks_left(const std::vector<Prompt>& prompts, std::int32_t n_samples,
                             const std::filesystem::path& file) {
  std::set<std::pair<std::string, std::int32_t>> written;
  if (std::filesystem::exists(file))
    example::for_each_json_line(file, [&](const Json& line) {
      written.emplace(line.at("prompt_id").get<std::string>(), line.at("sample").get<std::int32_t>());
    });
  std::vector<Task> tasks;
  for (std::int32_t sample = 0; sample < n_samples; ++sample)
    for (const Prompt& prompt : prompts)
      if (written.count({prompt.id, sample}) == 0) tasks.push_back({&prompt, sample});
  return tasks;
}

}  // namespace answers
