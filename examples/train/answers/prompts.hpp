// Prompts to be answered and the answers that are there already, as JSON lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace answers {

/// One line: {"id", "kind", "prompt"} and, for an answer in points, "opening" and "points".
struct Prompt {
  std::string id;
  std::string kind;
  std::string text;
  std::string opening;            ///< what the answer begins with, before its points; empty: the model's own words
  std::int32_t n_points = 0;      ///< at most; 0: a serial answer
  std::int32_t least_tokens = 0;  ///< of each point, before it may end
};

/// One answer still to be written.
struct Task {
  const Prompt* prompt = nullptr;
  std::int32_t sample = 0;
};

/// Throws bad_file, naming the line, when something is missing or not JSON.
std::vector<Prompt> read_prompts(const std::filesystem::path& file);

/// `n_samples` answers for every prompt, without those that `file` holds already. Throws bad_file.
std::vector<Task> tasks_left(const std::vector<Prompt>& prompts, std::int32_t n_samples,
                             const std::filesystem::path& file);

}  // namespace answers
