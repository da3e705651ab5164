#include <anabranch/train/sample.hpp>

#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>

namespace anabranch::train {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 16;  // of blocks inside branches

[[noreturn]] void wrong(const std::string& where, const std::string& key, const char* expected, const Json& found) {
  fail(Status::bad_file, where, ": '", key, "': expected ", expected, ", found ", found.dump().substr(0, 60));
}

const Json& member(const Json& object, const char* key, const std::string& where, const char* expected) {
  const auto found = object.find(key);
  if (found == object.end()) fail(Status::bad_file, where, ": '", key, "': expected ", expected, ", found nothing");
  return *found;
}

std::string text_of(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where, "text");
  if (!value.is_string()) wrong(where, key, "text", value);
  return value.get<std::string>();
}

std::string text_or_empty(const Json& object, const char* key, const std::string& where) {
  return object.contains(key) ? text_of(object, key, where) : std::string();
}

std::vector<Part> parts_of(const Json& list, const std::string& where, int depth);

Branch branch_of(const Json& value, const std::string& where, int depth) {
  if (!value.is_object()) wrong(where, "branches", "objects", value);
  Branch branch{text_of(value, "title", where), {}};
  if (value.contains("parts") == value.contains("text")) wrong(where, "branches", "either 'text' or 'parts'", value);
  if (value.contains("parts"))
    branch.parts = parts_of(value["parts"], where, depth + 1);
  else if (std::string text = text_of(value, "text", where); !text.empty())
    branch.parts.push_back({std::move(text), {}});
  return branch;
}

Part part_of(const Json& value, const std::string& where, int depth) {
  if (!value.is_object() || value.contains("text") == value.contains("branches"))
    wrong(where, "parts", "objects with either 'text' or 'branches'", value);
  if (value.contains("text")) return {text_of(value, "text", where), {}};
  const Json& branches = value["branches"];
  if (!branches.is_array() || branches.empty()) wrong(where, "branches", "a list that is not empty", branches);
  Part part;
  for (const Json& branch : branches) part.branches.push_back(branch_of(branch, where, depth));
  return part;
}

std::vector<Part> parts_of(const Json& list, const std::string& where, int depth) {
  if (!list.is_array()) wrong(where, "parts", "a list", list);
  if (depth > kMaxDepth) fail(Status::bad_file, where, ": blocks nested deeper than ", kMaxDepth);
  std::vector<Part> parts;
  for (const Json& value : list) {
    Part part = part_of(value, where, depth);
    if (!part.text.empty() || !part.branches.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

Sample parse_sample(std::string_view json, const std::string& where) {
  const Json object = Json::parse(json, nullptr, false);
  if (object.is_discarded() || !object.is_object()) fail(Status::bad_file, where, ": not a JSON object");
  Sample sample;
  sample.id = object.contains("id") ? text_of(object, "id", where) : where;
  sample.kind = text_or_empty(object, "kind", where);
  sample.system = text_or_empty(object, "system", where);
  sample.prompt = text_of(object, "prompt", where);
  sample.parts = parts_of(member(object, "parts", where, "a list"), where, 0);
  return sample;
}

std::vector<Sample> read_samples(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail(Status::bad_file, "cannot open ", file.string());
  std::vector<Sample> samples;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    samples.push_back(parse_sample(line, file.string() + ":" + std::to_string(number)));
  }
  if (in.bad()) fail(Status::bad_file, "cannot read ", file.string());
  return samples;
}

}  // namespace anabranch::train
