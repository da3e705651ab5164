// Where the questions come from: the command line or a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace chat {

/// One question per line; empty lines are skipped. A line that starts with `{` is JSON with "question", "prompt" or
/// "turns" (whose first is taken). Throws anabranch::Error(bad_file) naming file and line.
std::vector<std::string> read_questions(const std::filesystem::path& file);

}  // namespace chat
