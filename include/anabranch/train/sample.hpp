// What a model learns from: questions with answers, each answer a sequence of serial texts and blocks of branches.
//
// One JSON object per line, as anabranch's corpus tools write them:
//   {"id": "q1", "kind": "generic", "prompt": "question as the user asks it", "parts": [PART, ...]}
//   PART = {"text": "serial bytes"}
//        | {"branches": [{"title": "T1", "text": " body\n"}, {"title": "T2", "parts": [PART, ...]}, ...]}
// A serial sample has texts only. "id", "kind" and "system" (a system message) may be absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch::train {

struct Branch;

/// Serial text, or a block: exactly one of the two is not empty.
struct Part {
  std::string text;
  std::vector<Branch> branches;
};

struct Branch {
  std::string title;        ///< as the outline and the branch's forced prefix spell it; may be empty
  std::vector<Part> parts;  ///< the body, without title and separator; may be empty
};

struct Sample {
  std::string id;      ///< for messages; the line number when the file gives none
  std::string kind;    ///< for statistics
  std::string system;  ///< empty: the chat template's default
  std::string prompt;
  std::vector<Part> parts;
};

/// `where` starts messages, such as "train.jsonl:7". Throws bad_file, naming key, expected and found.
Sample parse_sample(std::string_view json, const std::string& where);

/// All samples of a JSON-lines file; blank lines are skipped. Throws bad_file.
std::vector<Sample> read_samples(const std::filesystem::path& file);

}  // namespace anabranch::train
