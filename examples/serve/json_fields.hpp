// JsonFields: reads the fields of a JSON object, each with its type and range, and knows which were never asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace serve {

/// What an integer or a number may be, ends included.
template <class T>
struct Range {
  T least;
  T most;
};

/// A field that is null counts as one that is not there. What is wrong with a field is thrown as an ApiError (400) that
/// names it, what was expected, and what was found. The object must outlive it.
class JsonFields {
 public:
  /// `name` stands before the names of its fields in messages; empty: it is the whole request.
  JsonFields(const nlohmann::json& object, std::string name);

  const nlohmann::json* find(const char* key);
  std::optional<bool> flag(const char* key);
  std::optional<std::int64_t> integer(const char* key, Range<std::int64_t> range);
  std::optional<double> number(const char* key, Range<double> range);
  std::optional<std::string> text(const char* key);
  /// Takes note of a field that has no effect here.
  void pass_over(const char* key) { asked_.insert(key); }
  /// Throws for a field that nobody has asked for.
  void refuse_others() const;

  /// The whole name of a field.
  std::string name_of(std::string_view key) const;
  [[noreturn]] void wrong(const char* key, const std::string& expected) const;

 private:
  const nlohmann::json* object_;
  std::string name_;
  std::set<std::string, std::less<>> asked_;
};

/// A value as messages show it: its JSON, cut where it is long.
std::string shown(const nlohmann::json& value);

}  // namespace serve
