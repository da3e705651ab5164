#include "json_fields.hpp"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "api_error.hpp"

namespace serve {

std::string shown(const nlohmann::json& value) {
  constexpr std::size_t kMost = 60;
  if (value.is_structured() && value.size() > 8)
    return fmt::format("{} of {} values", value.is_array() ? "an array" : "an object", value.size());
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

JsonFields::JsonFields(const nlohmann::json& object, std::string name) : object_(&object), name_(std::move(name)) {
  if (!object.is_object())
    throw ApiError(
        400, fmt::format("{} must be a JSON object, not {}", name_.empty() ? "the body" : name_, shown(object)), name_);
}

std::string JsonFields::name_of(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

void JsonFields::wrong(const char* key, const std::string& expected) const {
  const auto found = object_->find(key);
  throw ApiError(400,
                 fmt::format("'{}' must be {}, not {}", name_of(key), expected,
                             found == object_->end() ? std::string("missing") : shown(*found)),
                 name_of(key));
}

const nlohmann::json* JsonFields::find(const char* key) {
  asked_.insert(key);
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<bool> JsonFields::flag(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::optional<std::int64_t> JsonFields::integer(const char* key, Range<std::int64_t> range) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto refuse = [&] { wrong(key, fmt::format("an integer from {} to {}", range.least, range.most)); };
  if (!value->is_number_integer()) refuse();
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{INT64_MAX}) refuse();
  const std::int64_t number = value->get<std::int64_t>();
  if (number < range.least || number > range.most) refuse();
  return number;
}

std::optional<double> JsonFields::number(const char* key, Range<double> range) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number() && value->get<double>() >= range.least && value->get<double>() <= range.most;
  if (!fits) wrong(key, fmt::format("a number from {} to {}", range.least, range.most));
  return value->get<double>();
}

std::optional<std::string> JsonFields::text(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong(key, "a string");
  return value->get<std::string>();
}

void JsonFields::refuse_others() const {
  for (const auto& [key, value] : object_->items())
    if (!asked_.contains(key))
      throw ApiError(400, fmt::format("Unrecognized request argument supplied: {}", name_of(key)), name_of(key),
                     "unknown_parameter");
}

}  // namespace serve
