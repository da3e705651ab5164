// An answer before it is cut into branches: one JSON object, as examples/train/answers writes it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace corpus_tool {

struct PlainAnswer {
  std::string id;
  std::string kind;
  std::string prompt;
  std::string answer;
  bool cut = false;  ///< the answer, or one of its points, ended at a limit instead of at its end
};

/// Reads {"id", "kind", "prompt", "answer"}, and perhaps "ended" (why the answer ended) and "cut_points" (how many of
/// its points ended at a limit). Throws what nlohmann throws for a key that is missing or of another type.
PlainAnswer plain_answer(const nlohmann::ordered_json& line);

}  // namespace corpus_tool
