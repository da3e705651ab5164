#include "post_processor.hpp"

#include <string>
#include <utility>

#include "known_keys.hpp"

namespace anabranch::hf::impl {
namespace {

void append_special(const JsonObject& json, const std::string& name, const TokenTable<bool>& exists,
                    std::vector<TokenId>& out) {
  const JsonObject token = json.object("special_tokens").object(name.c_str());
  only_keys(token, {"id", "ids", "tokens"});
  for (const Json& value : token.array("ids")) {
    const auto id = token_id(value);
    if (!id || *id >= exists.n() || !exists[*id]) token.wrong("ids", "ids of known tokens", value);
    out.push_back(*id);
  }
}

// Special tokens before and after the one text.
Surrounding read_template(const JsonObject& json, const TokenTable<bool>& exists) {
  only_keys(json, {"type", "single", "pair", "special_tokens"});
  Surrounding out;
  bool text_seen = false;
  const Json& pieces = json.array("single");
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const JsonObject piece(pieces[i], json.where() + ": 'single' " + std::to_string(i));
    only_keys(piece, {"Sequence", "SpecialToken"});
    if (piece.find("Sequence")) {
      only_keys(piece.object("Sequence"), {"id", "type_id"});
      if (text_seen || piece.object("Sequence").text("id") != "A") json.wrong("single", "the text \"A\" once", pieces);
      text_seen = true;
      continue;
    }
    only_keys(piece.object("SpecialToken"), {"id", "type_id"});
    append_special(json, piece.object("SpecialToken").text("id"), exists, text_seen ? out.after : out.before);
  }
  if (!text_seen) json.wrong("single", "the text \"A\" once", pieces);
  return out;
}

}  // namespace

Surrounding read_post_processor(const JsonObject& json, const TokenTable<bool>& exists) {
  const std::string type = json.text("type");
  Surrounding out;
  if (type == "ByteLevel") {  // only moves offsets
    only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "TemplateProcessing") {
    out = read_template(json, exists);
  } else if (type == "Sequence") {
    only_keys(json, {"type", "processors"});
    const Json& steps = json.array("processors");
    for (std::size_t i = 0; i < steps.size(); ++i) {
      Surrounding next =
          read_post_processor(JsonObject(steps[i], json.where() + ": 'processors' " + std::to_string(i)), exists);
      if (next.empty()) continue;
      if (!out.empty()) json.unsupported("processors", "two steps that add tokens are not supported");
      out = std::move(next);
    }
  } else {
    refuse_type(json, type, {"TemplateProcessing", "ByteLevel", "Sequence"});
  }
  return out;
}

}  // namespace anabranch::hf::impl
