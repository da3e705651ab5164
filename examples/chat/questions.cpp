#include "questions.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>
#include <anabranch/utf8.hpp>

#include "../common/byte_order_mark.hpp"

namespace chat {
namespace {

std::string question_of(const std::string& line, const std::string& where) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (json.is_discarded()) anabranch::fail(anabranch::Status::bad_file, where, " is no valid JSON");
  for (const char* key : {"question", "prompt"})
    if (json.contains(key) && json[key].is_string()) return json[key].get<std::string>();
  const auto turns = json.find("turns");
  if (turns != json.end() && turns->is_array() && !turns->empty() && turns->front().is_string())
    return turns->front().get<std::string>();
  anabranch::fail(anabranch::Status::bad_file, where, " has no \"question\", \"prompt\" or \"turns\" with text");
}

}  // namespace

std::vector<std::string> read_questions(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream) anabranch::fail(anabranch::Status::bad_file, file.string(), " cannot be read: ", std::strerror(errno));
  if (std::filesystem::is_directory(file))
    anabranch::fail(anabranch::Status::bad_file, file.string(), " cannot be read: it is a folder");
  std::vector<std::string> questions;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    if (number == 1) example::drop_byte_order_mark(line);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", file.string(), number);
    const std::size_t bad = anabranch::first_bad_utf8(line);
    if (bad < line.size())
      anabranch::fail(anabranch::Status::bad_file, where, " is no UTF-8 at byte ", bad, " of ", line.size());
    questions.push_back(line.front() == '{' ? question_of(line, where) : line);
  }
  if (questions.empty()) anabranch::fail(anabranch::Status::bad_file, file.string(), " holds no question");
  return questions;
}

}  // namespace chat
