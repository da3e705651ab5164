#include "questions.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>

#include <anabranch/error.hpp>
#include <nlohmann/json.hpp>

namespace evaluate {
namespace {

namespace ab = anabranch;
using Json = nlohmann::ordered_json;

constexpr const char* kWanted =
    R"({"question_id" or "id": number or text, "category": text, "turns": [text, ...] or "prompt": text})";

[[noreturn]] void wrong(const std::string& where, const std::string& found) {
  ab::fail(ab::Status::bad_file, where + ": expected " + kWanted + ", found " + found);
}

const Json* find(const Json& line, const char* key, const char* other) {
  if (line.contains(key)) return &line.at(key);
  return line.contains(other) ? &line.at(other) : nullptr;
}

Question question_of(const Json& line, const std::string& set, const std::string& where) {
  if (!line.is_object()) wrong(where, line.dump().substr(0, 80));
  const Json* id = find(line, "id", "question_id");
  if (!id) wrong(where, "no \"question_id\" or \"id\"");
  if (!id->is_string() && !id->is_number_integer()) wrong(where, "the id " + id->dump());
  if (!line.contains("category") || !line.at("category").is_string()) wrong(where, "no \"category\" that is a text");
  const Json* text = find(line, "prompt", "turns");
  if (text && text->is_array()) text = text->empty() ? nullptr : &text->front();
  if (!text || !text->is_string()) wrong(where, "no text to ask");
  return {set, id->is_string() ? id->get<std::string>() : id->dump(), line.at("category").get<std::string>(),
          text->get<std::string>()};
}

}  // namespace

std::vector<Question> read_questions(const std::string& file) {
  std::ifstream in(file);
  if (!in || std::filesystem::is_directory(file))
    ab::fail(ab::Status::bad_file, file + ": cannot be read; expected a file of questions, one JSON object a line");
  const std::filesystem::path path = std::filesystem::absolute(file);
  const std::string set = path.parent_path().filename().string() + "/" + path.stem().string();
  std::vector<Question> questions;
  std::map<std::string, std::int64_t> lines;  // of the ids
  std::string text;
  for (std::int64_t number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = file + ", line " + std::to_string(number);
    const Json line = Json::parse(text, nullptr, false);
    if (line.is_discarded()) wrong(where, "no JSON: " + text.substr(0, 80));
    questions.push_back(question_of(line, set, where));
    const auto [before, is_new] = lines.emplace(questions.back().id, number);
    if (!is_new)
      ab::fail(ab::Status::bad_file, where + ": expected an id of its own, found " + before->first + " as in line " +
                                         std::to_string(before->second));
  }
  if (questions.empty()) ab::fail(ab::Status::bad_file, file + ": expected questions, found none");
  return questions;
}

}  // namespace evaluate
