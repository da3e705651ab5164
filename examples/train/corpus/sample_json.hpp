// Samples as JSON lines: what extraction writes and training reads.
//
//   {"id": "...", "kind": "generic", "prompt": "...", "parts": [{"text": "So:\n\n"}, {"branches": [BRANCH, ...]}]}
//   BRANCH = {"title": "Rest", "text": " Sleep well.\n"} or {"title": "Rest", "parts": [PART, ...]}
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <anabranch/corpus/parts.hpp>

namespace sample_json {

namespace ab = anabranch;

/// An answer as it came: {"id", "kind", "prompt", "answer"}, and perhaps "ended" (why, as examples/train/answers writes
/// it) and "cut_points" (how many of its points ended at a limit).
struct PlainAnswer {
  std::string id;
  std::string kind;
  std::string prompt;
  std::string answer;
  bool cut = false;  ///< it says that it, or one of its points, was not written to its end
};

/// One line without its line break. Bytes that are no UTF-8 are replaced.
std::string write(const ab::corpus::Sample& sample);
std::string write(const PlainAnswer& answer);
/// Throw bad_file, naming the key and what it must be.
ab::corpus::Sample read_sample(std::string_view line);
PlainAnswer read_answer(std::string_view line);

/// Calls visit(line) for each line of a file that is not blank. Throws bad_file; what `visit` throws as such gets the
/// file's name and the line's number in front.
void for_each_line(const std::string& path, const std::function<void(std::string_view)>& visit);

}  // namespace sample_json
