#include "sample_json.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include <anabranch/error.hpp>

namespace sample_json {
namespace {

using ab::corpus::Part;
using ab::corpus::PartBranch;
using nlohmann::json;

// Deeper samples than extraction can make are refused, so that no file can use up the stack.
constexpr int kMaxDepth = 64;

[[noreturn]] void refuse(const std::string& text) { ab::fail(ab::Status::bad_file, text); }

json to_json(const std::vector<Part>& parts);

json to_json(const PartBranch& branch) {
  json out{{"title", branch.title}};
  if (branch.parts.size() == 1 && branch.parts.front().branches.empty()) {
    out["text"] = branch.parts.front().text;
  } else {
    out["parts"] = to_json(branch.parts);
  }
  return out;
}

json to_json(const std::vector<Part>& parts) {
  json out = json::array();
  for (const Part& part : parts) {
    if (part.branches.empty()) {
      out.push_back({{"text", part.text}});
      continue;
    }
    json branches = json::array();
    for (const PartBranch& branch : part.branches) branches.push_back(to_json(branch));
    out.push_back({{"branches", std::move(branches)}});
  }
  return out;
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json parse(std::string_view line) {
  json value = json::parse(line.begin(), line.end(), nullptr, false);
  if (!value.is_object()) refuse("not a JSON object");
  return value;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) refuse(fmt::format("\"{}\" must be a string", key));
  return found->get<std::string>();
}

const json& array_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) refuse(fmt::format("\"{}\" must be an array", key));
  return *found;
}

std::vector<Part> parts_from(const json& array, int depth) {
  if (depth > kMaxDepth) refuse(fmt::format("parts are nested deeper than {} levels", kMaxDepth));
  std::vector<Part> parts;
  for (const json& entry : array) {
    if (!entry.is_object()) refuse("a part must be an object");
    if (!entry.contains("branches")) {
      parts.push_back({text_at(entry, "text"), {}});
      continue;
    }
    Part part;
    for (const json& branch : array_at(entry, "branches")) {
      if (!branch.is_object()) refuse("a branch must be an object");
      part.branches.push_back({text_at(branch, "title"), {}});
      std::vector<Part>& inner = part.branches.back().parts;
      if (branch.contains("parts")) {
        inner = parts_from(array_at(branch, "parts"), depth + 1);
      } else {
        inner.push_back({text_at(branch, "text"), {}});
      }
    }
    if (part.branches.empty()) refuse("\"branches\" must hold at least one branch");
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

std::string write(const ab::corpus::Sample& sample) {
  return dump({{"id", sample.id}, {"kind", sample.kind}, {"prompt", sample.prompt}, {"parts", to_json(sample.parts)}});
}

std::string write(const PlainAnswer& answer) {
  return dump({{"id", answer.id}, {"kind", answer.kind}, {"prompt", answer.prompt}, {"answer", answer.answer}});
}

ab::corpus::Sample read_sample(std::string_view line) {
  const json value = parse(line);
  return {text_at(value, "id"), text_at(value, "kind"), text_at(value, "prompt"),
          parts_from(array_at(value, "parts"), 1)};
}

PlainAnswer read_answer(std::string_view line) {
  const json value = parse(line);
  const std::string ended = value.contains("ended") ? text_at(value, "ended") : "finished";
  const json points = value.value("cut_points", json(0));
  if (!points.is_number_integer()) refuse("\"cut_points\" must be an integer");
  const bool cut = (ended != "finished" && ended != "end_of_text") || points > 0;
  return {text_at(value, "id"), text_at(value, "kind"), text_at(value, "prompt"), text_at(value, "answer"), cut};
}

void for_each_line(const std::string& path, const std::function<void(std::string_view)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(fmt::format("cannot open {}", path));
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      visit(line);
    } catch (const ab::Error& error) {
      if (error.status() != ab::Status::bad_file) throw;
      refuse(fmt::format("{}, line {}: {}", path, number, error.what()));
    }
  }
}

}  // namespace sample_json
