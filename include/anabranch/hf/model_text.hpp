// The side of a model folder that has to do with text: what turns a question into tokens and tokens into an answer.
#pragma once

#include <filesystem>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/hf/tokenizer.hpp>

namespace anabranch::hf {

struct ModelText {
  Tokenizer tokenizer;
  ChatTemplate chat;
  MarkupSettings markup;

  /// Throws bad_file or unsupported.
  static ModelText load(const std::filesystem::path& folder) {
    return {Tokenizer::load(folder), ChatTemplate::load(folder), MarkupSettings::load(folder)};
  }
  /// The same with an adapter, whose anabranch.json comes first: an adapter can teach a markup.
  static ModelText load(const std::filesystem::path& folder, const std::filesystem::path& adapter) {
    const bool taught = std::filesystem::exists(adapter / "anabranch.json");
    return {Tokenizer::load(folder), ChatTemplate::load(folder), MarkupSettings::load(taught ? adapter : folder)};
  }
};

}  // namespace anabranch::hf
