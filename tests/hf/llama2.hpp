// A tokenizer.json of Llama 2's shape: characters and bytes, and a blank in front of every text.
#pragma once

#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

namespace test {

inline const std::string kMeta = "\xE2\x96\x81";

/// Every character and byte of a small vocabulary, a few merges.
inline nlohmann::json llama2() {
  nlohmann::json json = nlohmann::json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false},
                     {"id": 1, "content": "<s>", "special": true, "normalized": false},
                     {"id": 2, "content": "</s>", "special": true, "normalized": false}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
    "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}, "merges": ["h e", "l l", "he ll", "hell o", "_ hello"]}})");
  std::string text = json.dump();
  for (std::size_t at = text.find('_'); at != std::string::npos; at = text.find('_', at + 1)) {
    // the letter that stands for a blank is more than a byte
    if (text[at - 1] == '"' && (text[at + 1] == '"' || text[at + 1] == ' ')) text.replace(at, 1, kMeta);
  }
  json = nlohmann::json::parse(text);
  nlohmann::json& vocabulary = json["model"]["vocab"];
  const auto add = [&vocabulary](const std::string& entry) { vocabulary[entry] = vocabulary.size(); };
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    add(name);
  }
  for (const char* entry : {"h", "e", "l", "o", "he", "ll", "hell", "hello"}) add(entry);
  add(kMeta);
  add(kMeta + "hello");
  return json;
}

}  // namespace test
