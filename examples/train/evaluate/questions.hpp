// Questions to evaluate with: our own, or FastChat's Vicuna Bench and MT-Bench, which come in the same layout.
#pragma once

#include <string>
#include <vector>

namespace evaluate {

struct Question {
  std::string set;  ///< the file's folder and name, as in "vicuna_bench/question"
  std::string id;
  std::string category;
  std::string text;
};

/// Reads JSON lines with "id" or "question_id", "category", and "prompt" or "turns", of which the first is asked.
/// Throws bad_file, with file, line and what is wanted there; also for a file without questions and for an id that a
/// line before has.
std::vector<Question> read_questions(const std::string& file);

}  // namespace evaluate
