// JSON files of a model folder, with errors that name file, key, what was expected and what was found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>

namespace anabranch::hf::impl {

using Json = nlohmann::json;

/// Whole content of a file. Throws `bad_file` with the system's reason.
std::string read_file(const std::filesystem::path& file);

/// Python writes NaN, Infinity and -Infinity, which JSON does not have, and so did transformers 4; transformers 5
/// writes an object {"__float__": "Infinity"} instead. The text with such objects.
std::string with_tagged_floats(std::string_view text);

/// Parses JSON text, or what Python takes for it (with_tagged_floats) unless duplicate keys are refused. Throws
/// `bad_file`, starting with `where`, for anything but valid JSON nested less than 64 deep (deeper nesting only costs
/// memory: no file of a model has it). Duplicate keys are refused when asked to.
enum class DuplicateKeys : std::uint8_t { last_wins, refused };
Json parse_json(std::string_view text, const std::string& where, DuplicateKeys duplicates = DuplicateKeys::last_wins);

/// A value as JSON text, shortened, for messages.
std::string shown(const Json& value);

/// An object inside a file. Borrows the JSON. A key whose value is null counts as absent.
class JsonObject {
 public:
  /// `where` starts every message, such as "models/x/config.json". Throws `bad_file` if `object` is no object.
  JsonObject(const Json& object, std::string where);

  const std::string& where() const noexcept { return where_; }
  const Json& json() const noexcept { return *object_; }
  /// nullptr if absent or null.
  const Json* find(const char* key) const;
  const Json& require(const char* key, const char* expected) const;

  std::string text(const char* key) const;
  std::optional<std::string> optional_text(const char* key) const;
  bool flag_or(const char* key, bool otherwise) const;
  /// Integers in [lowest, 2^31).
  std::int32_t integer(const char* key, std::int32_t lowest) const;
  std::int32_t integer_or(const char* key, std::int32_t lowest, std::int32_t otherwise) const;
  /// Finite numbers > 0.
  double positive(const char* key) const;
  double positive_or(const char* key, double otherwise) const;
  JsonObject object(const char* key) const;
  std::optional<JsonObject> optional_object(const char* key) const;
  const Json& array(const char* key) const;

  /// Throws `bad_file`: "<where>: '<key>': expected <expected>, found <found>".
  [[noreturn]] void wrong(const char* key, std::string_view expected, const Json& found) const;
  /// Throws `unsupported`: "<where>: '<key>': <text>".
  [[noreturn]] void unsupported(const char* key, std::string_view text) const;

 private:
  const Json* object_;
  std::string where_;
};

/// A token id: an integer in [0, 2^31). nullopt for anything else.
std::optional<std::int32_t> token_id(const Json& value);

}  // namespace anabranch::hf::impl
