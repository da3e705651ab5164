// Files of JSON objects, one a line.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <anabranch/error.hpp>
#include <nlohmann/json.hpp>

namespace example {

/// visit(object) for every line that is not blank. Throws bad_file when the file cannot be read, and, with file and
/// line in front, for what is no JSON or what `visit` finds missing (nlohmann's exceptions).
template <class Visit>
void for_each_json_line(const std::filesystem::path& file, Visit&& visit) {
  std::ifstream in(file);
  if (!in) anabranch::fail(anabranch::Status::bad_file, file.string(), ": cannot be read: ", std::strerror(errno));
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      visit(nlohmann::ordered_json::parse(line));
    } catch (const nlohmann::json::exception& error) {
      anabranch::fail(anabranch::Status::bad_file, file.string(), ", line ", number, ": ", error.what());
    }
  }
}

/// One line, whatever bytes its texts hold: those that are no UTF-8 are replaced.
inline std::string json_line(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace example
