// MarkupSettings: the markup that a checkpoint writes, and the positions that it was trained with: `anabranch.json`
// beside its config.json.
//
//   {"markup": "aspd", "positions": "sequential", "title_separator": ":",
//    "tags": {"branch": "<|branch|>", "branch_end": "<|/branch|>", "title": "<|title|>", "title_end": "<|/title|>",
//             "para": "<|para|>", "para_end": "<|/para|>"}}
//
// "positions" is "sequential", "longest" or {"reserved": C}; "tags" name added tokens of tokenizer.json, those above by
// default. A folder without the file has a model that was not trained to branch: skeleton markup with a chat template,
// serial without.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <anabranch/hf/tokenizer.hpp>
#include <anabranch/markup/aspd.hpp>
#include <anabranch/markup/markup_kind.hpp>
#include <anabranch/tree/positions.hpp>

namespace anabranch::hf {

/// "serial", "skeleton", "aspd".
const char* markup_name(MarkupKind kind) noexcept;

struct MarkupSettings {
  MarkupKind markup = MarkupKind::serial;
  Positions positions = Positions::sequential;
  std::string branch = "<|branch|>";
  std::string branch_end = "<|/branch|>";
  std::string title = "<|title|>";
  std::string title_end = "<|/title|>";
  std::string para = "<|para|>";
  std::string para_end = "<|/para|>";
  std::string title_separator = ":";

  /// Throws bad_file, naming file, key, expected and found.
  static MarkupSettings load(const std::filesystem::path& folder);
  /// Writes `folder`/anabranch.json. Throws bad_argument (positions that the file cannot name) or bad_file.
  void save(const std::filesystem::path& folder) const;
  /// The tags by id. Throws bad_markup, naming the tag that the tokenizer lacks.
  markup::AspdTags tags(const Tokenizer& tokenizer) const;
};

}  // namespace anabranch::hf
