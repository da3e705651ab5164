// Samples that a model learns from: questions with answers, each a sequence of serial texts and blocks of branches.
//
// One JSON object per line, as anabranch's corpus tools write them:
//   {"id": "q1", "kind": "generic", "prompt": "question as the user asks it", "parts": [PART, ...]}
//   PART = {"text": "serial bytes"}
//        | {"branches": [{"title": "T1", "text": " body\n"}, {"title": "T2", "parts": [PART, ...]}, ...]}
// A serial sample has texts only. "id" (then the line's number), "kind" and "system" may be absent.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/corpus/parts.hpp>

namespace anabranch::train {

using corpus::Part;
using corpus::Sample;
using Branch = corpus::PartBranch;

/// `where` starts messages, such as "train.jsonl:7". Throws bad_file, naming key, expected and found.
Sample parse_sample(std::string_view json, const std::string& where);

/// All samples of a JSON-lines file; blank lines are skipped. Throws bad_file.
std::vector<Sample> read_samples(const std::filesystem::path& file);

}  // namespace anabranch::train
