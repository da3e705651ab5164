#include "tokenizer_settings.hpp"

#include <charconv>
#include <map>

namespace anabranch::hf::impl {
namespace {

/// A token as a text, or as an object with its content.
std::string content_of(const JsonObject& config, const char* key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  config.wrong(key, "a token", value);
}

void read_specials(const JsonObject& config, std::vector<std::string>& out) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"})
    if (const Json* value = config.find(key)) out.push_back(content_of(config, key, *value));
  for (const char* key : {"extra_special_tokens", "additional_special_tokens"})
    if (const Json* values = config.find(key)) {
      if (!values->is_array() && !values->is_object()) config.wrong(key, "tokens", *values);
      for (const Json& value : *values) out.push_back(content_of(config, key, value));
    }
}

}  // namespace

TokenizerSettings read_tokenizer_settings(const JsonObject& config) {
  TokenizerSettings settings;
  settings.where = config.where();
  if (config.flag_or("split_special_tokens", false))
    config.unsupported("split_special_tokens", "true is not supported, only false");
  if (const auto listed = config.optional_object("added_tokens_decoder")) {
    std::map<TokenId, Json> by_id;
    for (const auto& [key, value] : listed->json().items()) {
      TokenId id = kNone;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size() || id < 0)
        config.wrong("added_tokens_decoder", "ids as keys", Json(key));
      Json token = listed->object(key.c_str()).json();
      token.erase("__type");
      by_id.insert_or_assign(id, std::move(token));
    }
    for (auto& [id, token] : by_id) settings.tokens.push_back(std::move(token));
  }
  read_specials(config, settings.specials);
  return settings;
}

}  // namespace anabranch::hf::impl
