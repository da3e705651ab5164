#include "json_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <vector>

namespace anabranch::hf::impl {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();
constexpr std::string_view kPythonFloats[] = {"NaN", "Infinity", "-Infinity"};

// Counts brackets outside strings, before the parser builds anything from them.
bool nested_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if ((c == '{' || c == '[') && ++depth > kMaxDepth) return true;
    if (c == '}' || c == ']') --depth;
  }
  return false;
}

// Remembers the keys of every open object; throws at the first repetition.
class DuplicateFinder {
 public:
  explicit DuplicateFinder(const std::string& where) : where_(where) {}
  void operator()(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second)
      fail(Status::bad_file, where_, ": key ", shown(parsed), " is there twice");
  }

 private:
  const std::string& where_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

std::string read_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error))
    fail(Status::bad_file, "cannot read ", file.string(), ": expected a file, found a folder");
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) fail(Status::bad_file, "cannot open ", file.string(), ": ", std::strerror(errno ? errno : EIO));
  std::string content{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) fail(Status::bad_file, "cannot read ", file.string(), ": ", std::strerror(errno ? errno : EIO));
  return content;
}

std::string with_tagged_floats(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\' && i + 1 < text.size()) out += text[i++];
    const std::string_view rest = text.substr(i);
    const auto name = std::find_if(std::begin(kPythonFloats), std::end(kPythonFloats),
                                   [&](std::string_view known) { return !in_string && rest.starts_with(known); });
    if (name == std::end(kPythonFloats)) {
      out += text[i];
      continue;
    }
    out.append(R"({"__float__": ")").append(*name).append(R"("})");
    i += name->size() - 1;
  }
  return out;
}

Json parse_json(std::string_view text, const std::string& where, DuplicateKeys duplicates) {
  if (nested_too_deep(text)) fail(Status::bad_file, where, ": JSON nested deeper than the limit of ", kMaxDepth);
  try {
    if (duplicates == DuplicateKeys::last_wins) return Json::parse(with_tagged_floats(text));
    DuplicateFinder finder(where);
    return Json::parse(text, [&finder](int, Json::parse_event_t event, Json& parsed) {
      finder(event, parsed);
      return true;
    });
  } catch (const nlohmann::json::exception& problem) {
    fail(Status::bad_file, where, ": not valid JSON: ", problem.what());
  }
}

std::string shown(const Json& value) {
  if (value.is_object() || value.is_array())
    return (value.is_object() ? "an object with " : "an array of ") + std::to_string(value.size()) + " entries";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  constexpr std::size_t kLongest = 80;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::optional<std::int32_t> token_id(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxInt))
    return std::nullopt;
  const std::int64_t id = value.get<std::int64_t>();
  if (id < 0 || id > kMaxInt) return std::nullopt;
  return static_cast<std::int32_t>(id);
}

JsonObject::JsonObject(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) fail(Status::bad_file, where_, ": expected a JSON object, found ", shown(object));
}

const Json* JsonObject::find(const char* key) const {
  const auto entry = object_->find(key);
  return entry == object_->end() || entry->is_null() ? nullptr : &*entry;
}

const Json& JsonObject::require(const char* key, const char* expected) const {
  if (const Json* value = find(key)) return *value;
  fail(Status::bad_file, where_, ": '", key, "': expected ", expected, ", found nothing");
}

void JsonObject::wrong(const char* key, std::string_view expected, const Json& found) const {
  fail(Status::bad_file, where_, ": '", key, "': expected ", expected, ", found ", shown(found));
}

void JsonObject::unsupported(const char* key, std::string_view text) const {
  fail(Status::unsupported, where_, ": '", key, "': ", text);
}

std::string JsonObject::text(const char* key) const {
  const Json& value = require(key, "a string");
  if (!value.is_string()) wrong(key, "a string", value);
  return value.get<std::string>();
}

std::optional<std::string> JsonObject::optional_text(const char* key) const {
  if (!find(key)) return std::nullopt;
  return text(key);
}

bool JsonObject::flag_or(const char* key, bool otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) wrong(key, "true or false", *value);
  return value->get<bool>();
}

std::int32_t JsonObject::integer(const char* key, std::int32_t lowest) const {
  const std::string expected = "an integer from " + std::to_string(lowest) + " to " + std::to_string(kMaxInt);
  const Json& value = require(key, expected.c_str());
  const auto number = token_id(value);
  if (!number || *number < lowest) wrong(key, expected, value);
  return *number;
}

std::int32_t JsonObject::integer_or(const char* key, std::int32_t lowest, std::int32_t otherwise) const {
  return find(key) ? integer(key, lowest) : otherwise;
}

double JsonObject::positive(const char* key) const {
  const Json& value = require(key, "a number above 0");
  if (!value.is_number()) wrong(key, "a number above 0", value);
  const double number = value.get<double>();
  if (!std::isfinite(number) || number <= 0) wrong(key, "a finite number above 0", value);
  return number;
}

double JsonObject::positive_or(const char* key, double otherwise) const {
  return find(key) ? positive(key) : otherwise;
}

JsonObject JsonObject::object(const char* key) const {
  const Json& value = require(key, "an object");
  if (!value.is_object()) wrong(key, "an object", value);
  return JsonObject(value, where_ + ": '" + key + "'");
}

std::optional<JsonObject> JsonObject::optional_object(const char* key) const {
  if (!find(key)) return std::nullopt;
  return object(key);
}

const Json& JsonObject::array(const char* key) const {
  const Json& value = require(key, "an array");
  if (!value.is_array()) wrong(key, "an array", value);
  return value;
}

}  // namespace anabranch::hf::impl
