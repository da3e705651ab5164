// Metaspace: blanks are written as another character, and a text gets one in front. Both the step that cuts a text and
// the one that makes text of tokens have these settings.
#pragma once

#include <cstdint>
#include <string>

#include "known_keys.hpp"

namespace anabranch::hf::impl {

struct Metaspace {
  enum class Prefix : std::uint8_t { always, first, never };
  std::string replacement;  ///< one character
  Prefix prefix = Prefix::always;
  bool split = true;

  /// Older files have `add_prefix_space` too: false must go with "never".
  static Metaspace of(const JsonObject& json) {
    only_keys(json, {"type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"});
    Metaspace out;
    out.replacement = one_character(json, "replacement");
    out.split = json.flag_or("split", true);
    const std::string scheme = json.optional_text("prepend_scheme").value_or("always");
    if (scheme == "first")
      out.prefix = Prefix::first;
    else if (scheme == "never")
      out.prefix = Prefix::never;
    else if (scheme != "always")
      json.unsupported("prepend_scheme", "\"" + scheme + "\" is not supported; supported are always, first and never");
    if (!json.flag_or("add_prefix_space", true) && out.prefix != Prefix::never)
      json.wrong("add_prefix_space", "true, or \"never\" as 'prepend_scheme'", *json.find("add_prefix_space"));
    return out;
  }
};

}  // namespace anabranch::hf::impl
