// Checks of what stands behind an option: numbers and texts. They are made before anything is loaded.
#pragma once

#include <cmath>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <anabranch/utf8.hpp>

namespace example {

/// The option takes a number for which `holds`; `must` says which ones these are: "1 or more".
template <class Holds>
CLI::Validator number_that(Holds holds, const std::string& must) {
  const auto check = [holds, must](std::string& text) {
    double value = 0;
    if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value)) return fmt::format("'{}' is no number", text);
    return holds(value) ? std::string() : fmt::format("is {}; it must be {}", text, must);
  };
  return {check, must};
}

inline CLI::Validator any_number() {
  return number_that([](double) { return true; }, "any number");
}
inline CLI::Validator at_least(double least) {
  return number_that([least](double value) { return value >= least; }, fmt::format("{:.12g} or more", least));
}
inline CLI::Validator above(double bound) {
  return number_that([bound](double value) { return value > bound; }, fmt::format("more than {:.12g}", bound));
}
inline CLI::Validator between(double least, double most) {
  return number_that([=](double value) { return value >= least && value <= most; },
                     fmt::format("from {:.12g} to {:.12g}", least, most));
}
/// A share that is not 0.
inline CLI::Validator share() {
  return number_that([](double value) { return value > 0 && value <= 1; }, "more than 0 and at most 1");
}

/// The option takes a text in UTF-8.
inline CLI::Validator utf8() {
  const auto check = [](std::string& text) {
    const std::size_t bad = anabranch::first_bad_utf8(text);
    return bad == text.size() ? std::string() : fmt::format("is no UTF-8 at byte {} of {}", bad, text.size());
  };
  return {check, ""};
}

/// The option takes a name: an empty one is that of a variable of the shell which is not set.
inline CLI::Validator named() {
  return {[](std::string& text) { return text.empty() ? std::string("is empty") : std::string(); }, ""};
}

}  // namespace example
