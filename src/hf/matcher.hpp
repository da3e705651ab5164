// The target of a Split or Replace step: a literal text, a regular expression, or single characters of a kind.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "known_keys.hpp"
#include "split_pattern.hpp"
#include "utf8.hpp"

namespace anabranch::hf::impl {

class Matcher {
 public:
  using IsOfKind = bool (*)(char32_t) noexcept;
  explicit Matcher(SplitPattern pattern) : what_(std::move(pattern)) {}
  explicit Matcher(std::string literal) : what_(std::move(literal)) {}
  explicit Matcher(IsOfKind kind) : what_(kind) {}
  /// From the key `pattern` of a step.
  static Matcher of(const JsonObject& step) {
    PatternText pattern = pattern_of(step);
    if (pattern.is_regex) return Matcher(SplitPattern(pattern.text, step.where()));
    return Matcher(std::move(pattern.text));
  }

  bool matches_empty() const noexcept {
    const auto* pattern = std::get_if<SplitPattern>(&what_);
    return pattern && pattern->matches_empty();
  }
  /// Calls `take(begin, end)` for each match, in order. There is none in an empty text.
  template <class Take>
  void find_matches(std::string_view text, const Take& take) const {
    if (text.empty()) return;
    if (const auto* pattern = std::get_if<SplitPattern>(&what_)) return pattern->find_matches(text, take);
    if (const auto* literal = std::get_if<std::string>(&what_)) return find_literal(text, *literal, take);
    const IsOfKind kind = std::get<IsOfKind>(what_);
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t begin = i;
      if (kind(next_char(text, i))) take(begin, i);
    }
  }

  /// Appends the text with each match replaced.
  void replace_matches(std::string_view text, std::string_view by, std::string& out) const {
    std::size_t done = 0;
    find_matches(text, [&](std::size_t begin, std::size_t end) {
      out += text.substr(done, begin - done);
      out += by;
      done = end;
    });
    out += text.substr(done);
  }

 private:
  template <class Take>
  static void find_literal(std::string_view text, const std::string& literal, const Take& take) {
    for (std::size_t at = text.find(literal); at != std::string_view::npos; at = text.find(literal, at)) {
      take(at, at + literal.size());
      at += literal.size();
    }
  }

  std::variant<SplitPattern, std::string, IsOfKind> what_;
};

}  // namespace anabranch::hf::impl
