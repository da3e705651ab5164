#include "plain_answer.hpp"

#include <cstdint>

namespace corpus_tool {

PlainAnswer plain_answer(const nlohmann::ordered_json& line) {
  const auto text = [&](const char* key) { return line.at(key).get<std::string>(); };
  const std::string ended = line.contains("ended") ? text("ended") : "finished";
  const auto n_cut = line.contains("cut_points") ? line.at("cut_points").get<std::int64_t>() : 0;
  const bool cut = (ended != "finished" && ended != "end_of_text") || n_cut > 0;
  return {text("id"), text("kind"), text("prompt"), text("answer"), cut};
}

}  // namespace corpus_tool
