#include "golden_cases.hpp"

#include <nlohmann/json.hpp>

namespace anabranch::test {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& text) { throw GoldenFileError(text); }

/// More tokens than any case could need; keeps a wrong length from asking for all memory.
constexpr std::int64_t kMaxTokens = 1 << 20;

std::int32_t to_count(const json& value, std::int32_t least, const std::string& what) {
  if (!value.is_number_integer()) refuse(what + " is " + value.dump() + ", not an integer");
  const bool too_big =
      value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxTokens);
  if (too_big || value.get<std::int64_t>() > kMaxTokens || value.get<std::int64_t>() < least)
    refuse(what + " is " + value.dump() + ", outside [" + std::to_string(least) + ", " + std::to_string(kMaxTokens) +
           "]");
  return static_cast<std::int32_t>(value.get<std::int64_t>());
}

const json& member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) refuse(std::string("no \"") + name + "\"");
  if (!found->is_array() && std::string(name) != "mode") refuse(std::string("\"") + name + "\" is not an array");
  return *found;
}

GoldenItem to_item(const json& value) {
  if (!value.is_object() || value.size() != 1) refuse("an item of tokens_kind is " + value.dump());
  GoldenItem item;
  if (value.contains("serial")) {
    item.serial = to_count(value["serial"], 0, "serial");
  } else if (value.contains("block")) {
    if (!value["block"].is_array() || value["block"].empty()) refuse("a block is " + value["block"].dump());
    for (const json& length : value["block"]) item.branches.push_back(to_count(length, 2, "a branch's length"));
  } else {
    refuse("an item of tokens_kind is neither serial nor block: " + value.dump());
  }
  return item;
}

GoldenMode to_mode(const json& value) {
  if (value == "normal") return GoldenMode::normal;
  if (value == "max_para") return GoldenMode::max_para;
  if (value == "fixrange") return GoldenMode::fixrange;
  refuse("mode is " + value.dump() + ", not normal, max_para or fixrange");
}

std::vector<GoldenItem> to_items(const json& list) {
  std::vector<GoldenItem> items;
  for (const json& value : list) {
    GoldenItem item = to_item(value);
    if (!item.is_block() && item.serial == 0) continue;
    if (item.is_block() && !items.empty() && items.back().is_block())
      refuse("two blocks without a serial token between");
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<FlatInterval> to_intervals(const json& list, std::int32_t n_tokens, std::size_t row) {
  const std::string what = "mask[" + std::to_string(row) + "]";
  if (!list.is_array()) refuse(what + " is not an array");
  std::vector<FlatInterval> intervals;
  for (const json& pair : list) {
    if (!pair.is_array() || pair.size() != 2) refuse(what + " holds " + pair.dump() + ", not [a,b)");
    const FlatInterval interval{to_count(pair[0], 0, what), to_count(pair[1], 0, what)};
    if (interval.begin >= interval.end || interval.end > n_tokens)
      refuse(what + " holds " + pair.dump() + ", not inside [0, " + std::to_string(n_tokens) + ")");
    if (!intervals.empty() && interval.begin < intervals.back().end)
      refuse(what + " is not ascending at " + pair.dump());
    if (!intervals.empty() && interval.begin == intervals.back().end)
      intervals.back().end = interval.end;
    else
      intervals.push_back(interval);
  }
  return intervals;
}

GoldenCase to_case(const json& object) {
  if (!object.is_object()) refuse("not a JSON object");
  GoldenCase golden;
  golden.items = to_items(member(object, "tokens_kind"));
  golden.mode = to_mode(member(object, "mode"));
  std::int64_t n_tokens = 0;
  for (const GoldenItem& item : golden.items) {
    n_tokens += item.serial;
    for (const std::int32_t length : item.branches) n_tokens += length;
  }
  const json& positions = member(object, "positions");
  const json& mask = member(object, "mask");
  if (static_cast<std::int64_t>(positions.size()) != n_tokens || static_cast<std::int64_t>(mask.size()) != n_tokens)
    refuse("tokens_kind makes " + std::to_string(n_tokens) + " tokens, but there are " +
           std::to_string(positions.size()) + " positions and " + std::to_string(mask.size()) + " mask rows");
  for (const json& value : positions) golden.positions.push_back(to_count(value, 0, "a position"));
  for (std::size_t i = 0; i < mask.size(); ++i)
    golden.mask.push_back(to_intervals(mask[i], static_cast<std::int32_t>(n_tokens), i));
  return golden;
}

}  // namespace

std::vector<GoldenCase> read_golden_cases(std::istream& in, const std::string& name) {
  std::vector<GoldenCase> cases;
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      cases.push_back(to_case(nlohmann::json::parse(text)));
      cases.back().line = line;
    } catch (const std::exception& error) {
      throw GoldenFileError(name + ":" + std::to_string(line) + ": " + error.what());
    }
  }
  if (in.bad()) throw GoldenFileError(name + ": cannot be read");
  return cases;
}

}  // namespace anabranch::test
