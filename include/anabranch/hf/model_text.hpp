// The side of a model folder that has to do with text: what turns a question into tokens and tokens into an answer.
#pragma once

#include <filesystem>
#include <vector>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/markup_settings.hpp>
#include <anabranch/hf/prompt.hpp>
#include <anabranch/hf/tokenizer.hpp>

namespace anabranch::hf {

/// The folder that tokenizer and chat template of a model with an adapter come from: the adapter's, if it has a
/// tokenizer, because training may have added tokens.
inline std::filesystem::path text_folder(const std::filesystem::path& folder, const std::filesystem::path& adapter) {
  return std::filesystem::exists(adapter / "tokenizer.json") ? adapter : folder;
}

struct ModelText {
  Tokenizer tokenizer;
  ChatTemplate chat;
  MarkupSettings markup;
  std::vector<TokenId> ends = {};  ///< tokens that end an answer, beside those of ModelConfig::eos: hf::ends_of_turn

  /// Throws bad_file or unsupported.
  static ModelText load(const std::filesystem::path& folder) {
    return of({Tokenizer::load(folder), ChatTemplate::load(folder), MarkupSettings::load(folder), {}});
  }
  /// The same with an adapter, whose tokenizer and whose anabranch.json come first: an adapter can teach a markup.
  static ModelText load(const std::filesystem::path& folder, const std::filesystem::path& adapter) {
    const bool taught = std::filesystem::exists(adapter / "anabranch.json");
    const std::filesystem::path text = text_folder(folder, adapter);
    return of({Tokenizer::load(text), ChatTemplate::load(text), MarkupSettings::load(taught ? adapter : folder), {}});
  }

 private:
  static ModelText of(ModelText text) {
    text.ends = ends_of_turn(text.tokenizer, text.chat);
    return text;
  }
};

}  // namespace anabranch::hf
