#include "pre_tokenizer.hpp"

namespace anabranch::hf::impl {
namespace {

// GPT-2's words: contractions, letters, numbers and other signs with one leading space each, and white space.
constexpr const char* kWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer::PreTokenizer(const JsonObject& json) {
  add(json);
  if (!byte_level_)
    json.unsupported("type", "only byte-level tokenizers are supported: expected a ByteLevel step, found none");
}

void PreTokenizer::add(const JsonObject& json) {
  const std::string type = json.text("type");
  if (type == "Sequence") {
    const Json& steps = json.array("pretokenizers");
    for (std::size_t i = 0; i < steps.size(); ++i)
      add(JsonObject(steps[i], json.where() + ": 'pretokenizers' " + std::to_string(i)));
    return;
  }
  if (byte_level_) json.unsupported("type", "\"" + type + "\" after ByteLevel is not supported");
  if (type == "ByteLevel") {
    if (json.flag_or("add_prefix_space", true)) steps_.emplace_back(PrefixSpace{});
    if (json.flag_or("use_regex", true)) steps_.emplace_back(SplitPattern(kWords, json.where()));
    byte_level_ = true;
  } else if (type == "Digits") {
    const bool single = json.flag_or("individual_digits", false);
    steps_.emplace_back(SplitPattern(single ? "\\p{N}" : "\\p{N}+", json.where()));
  } else if (type == "Split") {
    add_split(json);
  } else {
    json.unsupported("type", "\"" + type + "\" is not supported; supported are Sequence, ByteLevel, Digits and Split");
  }
}

// Matches and what lies between them become pieces.
void PreTokenizer::add_split(const JsonObject& json) {
  const std::string behavior = json.text("behavior");
  if (behavior != "Isolated") json.unsupported("behavior", "\"" + behavior + "\" is not supported, only \"Isolated\"");
  json.flag_or("invert", false);  // changes what counts as a match, not where the pieces end
  const JsonObject pattern = json.object("pattern");
  if (const auto regex = pattern.optional_text("Regex")) {
    steps_.emplace_back(SplitPattern(*regex, json.where()));
  } else {
    const std::string literal = pattern.text("String");
    if (literal.empty()) json.unsupported("pattern", "an empty string is not supported");
    steps_.emplace_back(SplitPattern::literal(literal, json.where()));
  }
}

}  // namespace anabranch::hf::impl
