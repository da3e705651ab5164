// Keys that would change the result and are not known must not be passed over.
#pragma once

#include <initializer_list>
#include <string>

#include "json_file.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {

/// "a, b and c".
inline std::string listed(std::initializer_list<const char*> names) {
  std::string out;
  std::size_t left = names.size();
  for (const char* name : names) {
    out += name;
    if (--left > 0) out += left == 1 ? " and " : ", ";
  }
  return out;
}

/// Throws `unsupported` when the object has another key, unless its value is null.
inline void only_keys(const JsonObject& object, std::initializer_list<const char*> known) {
  for (const auto& [key, value] : object.json().items()) {
    bool found = value.is_null();
    for (const char* name : known) found = found || key == name;
    if (!found) object.unsupported(key.c_str(), shown(value) + " is not supported; known keys are " + listed(known));
  }
}

/// Throws `unsupported`: the object's type is none of those.
[[noreturn]] inline void refuse_type(const JsonObject& object, const std::string& type,
                                     std::initializer_list<const char*> supported) {
  object.unsupported("type", "\"" + type + "\" is not supported; supported are " + listed(supported));
}

inline bool required_flag(const JsonObject& object, const char* key) {
  object.require(key, "true or false");
  return object.flag_or(key, false);
}

/// A text that is one character.
inline std::string one_character(const JsonObject& object, const char* key) {
  std::string text = object.text(key);
  std::size_t end = 0;
  if (!text.empty()) next_char(text, end);
  if (text.empty() || end != text.size()) object.wrong(key, "one character", *object.find(key));
  return text;
}

/// The pattern of a Split or Replace step: a literal text that is not empty, or a regular expression.
struct PatternText {
  std::string text;
  bool is_regex = false;
};
inline PatternText pattern_of(const JsonObject& step) {
  const JsonObject pattern = step.object("pattern");
  only_keys(pattern, {"String", "Regex"});
  if (pattern.find("String") && pattern.find("Regex"))
    step.wrong("pattern", "either 'String' or 'Regex'", pattern.json());
  const auto regex = pattern.optional_text("Regex");
  PatternText out{regex ? *regex : pattern.text("String"), regex.has_value()};
  if (out.text.empty()) step.unsupported("pattern", "an empty text is not supported");
  return out;
}

}  // namespace anabranch::hf::impl
