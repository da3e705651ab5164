#include "added_token_list.hpp"

#include <utility>

#include "known_keys.hpp"

namespace anabranch::hf::impl {

AddedTokenList::AddedTokenList(const JsonObject& root, const Vocabulary& vocabulary, const Normalizer& normalizer,
                               TokenId max_id)
    : vocabulary_(vocabulary), normalizer_(normalizer), max_id_(max_id), next_id_(vocabulary.n_entries()) {
  if (!root.find("added_tokens")) return;
  const Json& tokens = root.array("added_tokens");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const JsonObject token(tokens[i], root.where() + ": 'added_tokens' " + std::to_string(i));
    only_keys(token, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    if (const std::string content = token.text("content"); !content.empty())
      add(token, content, entry_of(token, content));
  }
  check_sought(root);
}

void AddedTokenList::add(const TokenizerSettings& settings) {
  for (const Json& listed : settings.tokens) {
    const JsonObject token(listed, settings.where + ": 'added_tokens_decoder'");
    only_keys(token, {"content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    if (const std::string content = token.text("content"); !content.empty()) add(token, content, entry_of(content));
  }
  for (const std::string& content : settings.specials)
    if (!content.empty()) entry_of(content).token.special = true;
  check_sought(JsonObject(Json::object(), settings.where));
}

void AddedTokenList::add(const JsonObject& json, const std::string& content, Entry& entry) {
  const bool special = json.flag_or("special", false);
  entry.token.special = entry.token.special || special;
  entry.token.takes_left = json.flag_or("lstrip", false);
  entry.token.takes_right = json.flag_or("rstrip", false);
  entry.token.single_word = json.flag_or("single_word", false);
  entry.normalised = json.flag_or("normalized", !special);
  // Like in the reference, the text of a token that was normalised once stays so.
  if (entry.normalised) entry.text = normalizer_(content);
  entry.sought = entry.normalised ? entry.text : content;
}

// The reference does not take the file's ids but gives its own: the vocabulary's, and the next ones behind it.
AddedTokenList::Entry& AddedTokenList::entry_of(const JsonObject& json, const std::string& content) {
  const char* const wanted = by_content_.contains(content) ? "the id that it has above"
                             : vocabulary_.find(content) != kNone
                                 ? "the vocabulary's id"
                                 : "the next id behind the vocabulary and the tokens above";
  Entry& entry = entry_of(content);
  check_id(json, entry, wanted);
  return entry;
}

AddedTokenList::Entry& AddedTokenList::entry_of(const std::string& content) {
  const auto [found, is_new] = by_content_.emplace(content, entries_.size());
  if (!is_new) return entries_[found->second];
  Entry entry;
  entry.token.content = entry.text = entry.sought = content;
  entry.token.id = vocabulary_.find(content);
  if (entry.token.id == kNone) entry.token.id = next_id_++;
  return entries_.emplace_back(std::move(entry));
}

void AddedTokenList::check_id(const JsonObject& json, const Entry& entry, const char* wanted) const {
  const TokenId id = checked_id(json, "id", json.require("id", "a token id"), max_id_);
  const std::string& content = entry.token.content;
  if (vocabulary_.has(id) && vocabulary_.entry(id) != content)
    fail(Status::bad_file, json.where(), ": 'id': expected an id of its own for \"", content, "\", found ", id);
  if (id != entry.token.id)
    fail(Status::bad_file, json.where(), ": 'id': expected ", entry.token.id, ", ", wanted, ", for \"", content,
         "\", found ", id);
}

void AddedTokenList::check_sought(const JsonObject& root) const {
  std::unordered_map<std::string_view, const Entry*> normalised;
  for (const Entry& entry : entries_) {
    if (!entry.normalised) continue;
    if (entry.sought.empty())
      root.unsupported("added_tokens",
                       "\"" + entry.token.content + "\" is empty after normalisation, which is not supported");
    const auto [found, is_new] = normalised.emplace(entry.sought, &entry);
    if (!is_new)
      root.unsupported("added_tokens", "\"" + entry.token.content + "\" and \"" + found->second->token.content +
                                           "\" are the same after normalisation, which is not supported");
  }
}

std::vector<AddedToken> AddedTokenList::sought(bool normalised) const {
  std::vector<AddedToken> out;
  for (const Entry& entry : entries_) {
    if (entry.normalised != normalised) continue;
    out.push_back(entry.token);
    out.back().content = entry.sought;
  }
  return out;
}

}  // namespace anabranch::hf::impl
