// A tokenizer of single characters with the six tags and an end token, and samples for it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <anabranch/hf/model_text.hpp>
#include <anabranch/hf/samples.hpp>
#include <anabranch/train/token_row.hpp>

#include "hf/files.hpp"

namespace anabranch::test {

inline const std::vector<std::string> kTagTexts{"<|branch|>", "<|/branch|>", "<|title|>", "<|/title|>",
                                                "<|para|>",   "<|/para|>",   "<|im_end|>"};

/// Printable ASCII, blank and newline as single tokens, and after them the tags in the order above. No chat template:
/// the prompt is the question.
inline hf::ModelText byte_text() {
  nlohmann::json vocabulary = {{"\u0120", 0}, {"\u010a", 1}};  // blank and newline, as byte-level BPE writes them
  int next = 2;
  for (char c = '!'; c <= '~'; ++c) vocabulary[std::string(1, c)] = next++;
  nlohmann::json added = nlohmann::json::array();
  for (const std::string& tag : kTagTexts)
    added.push_back({{"id", next++},
                     {"content", tag},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const nlohmann::json json = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}};
  return {hf::Tokenizer::parse(json.dump(), "test"), hf::ChatTemplate::of(hf::ChatFamily::plain), hf::MarkupSettings()};
}

inline TokenId end_token(const hf::ModelText& text) { return text.tokenizer.added("<|im_end|>"); }

inline train::Renderer renderer(train::RenderOptions options = {}) {
  const hf::ModelText text = byte_text();
  return {text, {end_token(text)}, options};
}

inline train::Sample sample_of(const std::string& parts, const std::string& prompt = "Q") {
  return hf::parse_sample(R"({"prompt": ")" + prompt + R"(", "parts": )" + parts + "}", "sample");
}

/// Two branches, one of them with a block inside, text before and after.
inline train::Sample nested_sample() {
  return sample_of(R"([{"text": "a"},
                       {"branches": [{"title": "T", "text": " b\n"},
                                     {"title": "U", "parts": [{"text": " c"},
                                                              {"branches": [{"title": "V", "text": "d"},
                                                                            {"title": "W", "text": "e"}]},
                                                              {"text": "f"}]}]},
                       {"text": "g"}])");
}

}  // namespace anabranch::test
