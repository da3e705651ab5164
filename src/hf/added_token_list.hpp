// The `added_tokens` of tokenizer.json, and those of the settings beside it. A token may be listed again: what is said
// last counts.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.hpp"
#include "json_file.hpp"
#include "normalizer.hpp"
#include "tokenizer_settings.hpp"
#include "vocabulary.hpp"

namespace anabranch::hf::impl {

class AddedTokenList {
 public:
  struct Entry {
    AddedToken token;  ///< `content` as it is listed
    std::string text;  ///< what the decoder takes
    std::string sought;
    bool normalised = false;  ///< looked for in normalised text
  };

  /// Throws `bad_file` or `unsupported`.
  AddedTokenList(const JsonObject& root, const Vocabulary& vocabulary, const Normalizer& normalizer, TokenId max_id);
  /// Lists those of the settings behind the others; new ones get the next ids.
  void add(const TokenizerSettings& settings);

  const std::vector<Entry>& entries() const noexcept { return entries_; }
  /// Tokens that are looked for in the text as it is, or in normalised text.
  std::vector<AddedToken> sought(bool normalised) const;

 private:
  void add(const JsonObject& json, const std::string& content, Entry& entry);
  Entry& entry_of(const JsonObject& json, const std::string& content);
  Entry& entry_of(const std::string& content);
  void check_id(const JsonObject& json, const Entry& entry, const char* wanted) const;
  void check_sought(const JsonObject& root) const;

  const Vocabulary& vocabulary_;
  const Normalizer& normalizer_;
  TokenId max_id_;
  TokenId next_id_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> by_content_;
};

}  // namespace anabranch::hf::impl
