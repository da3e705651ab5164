#include <anabranch/hf/samples.hpp>

#include <fstream>
#include <utility>

#include "json_file.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;

std::vector<corpus::Part> read_parts(const JsonObject& owner, std::int32_t depth);

corpus::PartBranch read_branch(const JsonObject& branch, std::int32_t depth) {
  const bool has_parts = branch.find("parts") != nullptr;
  if (has_parts == (branch.find("text") != nullptr))
    branch.wrong("branches", "objects with either 'text' or 'parts'", branch.json());
  corpus::PartBranch out{branch.text("title"), {}};
  if (has_parts)
    out.parts = read_parts(branch, depth);
  else if (std::string text = branch.text("text"); !text.empty())
    out.parts.push_back({std::move(text), {}});
  return out;
}

corpus::Part read_part(const JsonObject& part, std::int32_t depth) {
  const bool has_text = part.find("text") != nullptr;
  if (has_text == (part.find("branches") != nullptr))
    part.wrong("parts", "objects with either 'text' or 'branches'", part.json());
  if (has_text) return {part.text("text"), {}};
  const Json& branches = part.array("branches");
  if (branches.empty()) part.wrong("branches", "an array that is not empty", branches);
  if (depth == corpus::kMaxBlockDepth)
    fail(Status::bad_file, part.where(), ": blocks nested deeper than ", corpus::kMaxBlockDepth);
  corpus::Part out;
  for (const Json& branch : branches) out.branches.push_back(read_branch({branch, part.where()}, depth + 1));
  return out;
}

/// `depth`: how many blocks the parts lie in.
std::vector<corpus::Part> read_parts(const JsonObject& owner, std::int32_t depth) {
  std::vector<corpus::Part> parts;
  for (const Json& value : owner.array("parts")) {
    corpus::Part part = read_part({value, owner.where()}, depth);
    if (!part.text.empty() || !part.branches.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

Json json_of(const std::vector<corpus::Part>& parts);

Json json_of(const corpus::PartBranch& branch) {
  Json out{{"title", branch.title}};
  if (branch.parts.size() == 1 && branch.parts.front().branches.empty())
    out["text"] = branch.parts.front().text;
  else
    out["parts"] = json_of(branch.parts);
  return out;
}

Json json_of(const std::vector<corpus::Part>& parts) {
  Json out = Json::array();
  for (const corpus::Part& part : parts) {
    if (part.branches.empty()) {
      out.push_back({{"text", part.text}});
      continue;
    }
    Json branches = Json::array();
    for (const corpus::PartBranch& branch : part.branches) branches.push_back(json_of(branch));
    out.push_back({{"branches", std::move(branches)}});
  }
  return out;
}

}  // namespace

corpus::Sample parse_sample(std::string_view json, const std::string& where) {
  const Json value = Json::parse(json, nullptr, false);
  if (value.is_discarded()) fail(Status::bad_file, where, ": not valid JSON");
  const JsonObject object(value, where);
  corpus::Sample sample;
  sample.id = object.optional_text("id").value_or(where);
  sample.kind = object.optional_text("kind").value_or("");
  sample.prompt = object.text("prompt");
  sample.parts = read_parts(object, 0);
  sample.system = object.optional_text("system").value_or("");
  return sample;
}

std::vector<corpus::Sample> read_samples(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail(Status::bad_file, "cannot open ", file.string());
  std::vector<corpus::Sample> samples;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    samples.push_back(parse_sample(line, file.string() + ":" + std::to_string(number)));
  }
  if (in.bad()) fail(Status::bad_file, "cannot read ", file.string());
  return samples;
}

std::string sample_line(const corpus::Sample& sample) {
  Json out{{"id", sample.id}, {"kind", sample.kind}, {"prompt", sample.prompt}, {"parts", json_of(sample.parts)}};
  if (!sample.system.empty()) out["system"] = sample.system;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace anabranch::hf
