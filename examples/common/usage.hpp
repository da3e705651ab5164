// The reading of a command line: what is wrong with it is said in one form, and the program ends with 2.
#pragma once

#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "output.hpp"

namespace example {

constexpr int kWrongUsage = 2;

/// Reads the command line. What main is to return at once: after --help 0, or 1 when it could not be written; after a
/// mistake kWrongUsage.
inline std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    const int status = app.exit(help);
    return output_arrived() ? status : 1;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "error: {}\n--help says what it takes\n", error.what());
    return kWrongUsage;
  }
  return std::nullopt;
}

}  // namespace example
