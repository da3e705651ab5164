// Regular expressions over the paths of modules, as `peft` reads them: with Python's `re`.
//
// PCRE2 matches them. Only constructs that mean the same in both are taken; every other one is refused by name.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace anabranch::hf::impl {

/// Text around an expression, as `peft` writes it there; taken as it is.
struct RegexFrame {
  const char* before = "";
  const char* after = "";
};

class ModuleRegex {
 public:
  /// Throws, starting with `where`, `unsupported` for a construct that is not known to mean the same, or `bad_file` for
  /// an expression that means nothing.
  ModuleRegex(const std::string& expression, const std::string& where, RegexFrame frame = {});
  ModuleRegex(ModuleRegex&&) noexcept;
  ModuleRegex& operator=(ModuleRegex&&) noexcept;
  ~ModuleRegex();

  /// `re.match`: from the path's beginning on. REQUIRES: ASCII.
  bool matches_start(std::string_view path) const;
  /// `re.fullmatch`.
  bool matches_all(std::string_view path) const;
  /// `re.match`, and what the group of that name caught; none: no match.
  std::optional<std::string> group(std::string_view path, const char* name) const;

 private:
  struct Match;
  Match match(std::string_view path, bool whole) const;

  struct Code;
  std::unique_ptr<Code> code_;
  std::string expression_, where_;
};

/// Whether a text is a module's path: letters, digits, `_`, and dots between them.
bool is_module_path(std::string_view text) noexcept;

}  // namespace anabranch::hf::impl
