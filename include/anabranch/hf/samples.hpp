// The file that a model learns from: questions with answers, one JSON object per line. The corpus tool writes it and
// training reads it.
//
//   {"id": "q1", "kind": "generic", "prompt": "the question as the user asks it", "parts": [PART, ...]}
//   PART = {"text": "serial bytes"}
//        | {"branches": [{"title": "T1", "text": " body\n"}, {"title": "T2", "parts": [PART, ...]}, ...]}
//
// A serial answer has texts only. "id", "kind" and "system" may be absent; an absent id becomes the line's place in its
// file. Blocks nest at most corpus::kMaxBlockDepth deep, so that no file can use up the stack.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/corpus/parts.hpp>

namespace anabranch::hf {

/// Reads one line. `where` starts every message, such as "train.jsonl:7". Parts with an empty text are dropped.
/// Throws bad_file, which names the key, what was expected and what was found.
corpus::Sample parse_sample(std::string_view json, const std::string& where);

/// Reads every line of a file that is not blank. Throws bad_file.
std::vector<corpus::Sample> read_samples(const std::filesystem::path& file);

/// Writes one line, without its line break: keys in alphabetical order, "system" only when there is one. Bytes that
/// are no UTF-8 are replaced. parse_sample() reads it back.
std::string sample_line(const corpus::Sample& sample);

}  // namespace anabranch::hf
