// The `model` of tokenizer.json: which texts are tokens, and which of them merge.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "bpe.hpp"
#include "json_file.hpp"
#include "token_table.hpp"
#include "tokenizer_file.hpp"

namespace anabranch::hf::impl {

/// Entries by id and by text. Borrows the file.
class Vocabulary {
 public:
  /// From the model's `vocab`. Throws `bad_file`: two entries with one id.
  Vocabulary(const JsonObject& model, const TokenizerFile& file);

  TokenId n() const noexcept { return entries_.n(); }
  std::int32_t n_entries() const noexcept { return static_cast<std::int32_t>(ids_.size()); }
  bool has(TokenId id) const { return id >= 0 && id < n() && !entries_[id].empty(); }
  /// Empty for ids that no entry has.
  std::string_view entry(TokenId id) const { return entries_[id]; }
  /// kNone if it is not there.
  TokenId find(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? kNone : found->second;
  }

 private:
  TokenTable<std::string_view> entries_;
  std::unordered_map<std::string_view, TokenId> ids_;
};

/// The id in `value`, or `bad_file`: "<where>: '<key>': expected a token id from 0 to <max_id>".
TokenId checked_id(const JsonObject& object, const char* key, const Json& value, TokenId max_id);

/// Byte pair encoding of bytes or of characters, with the model's settings. Throws `unsupported` for other kinds of
/// models, and `bad_file`.
void check_model(const JsonObject& model);
Bpe read_bpe(const JsonObject& model, const TokenizerFile& file, const Vocabulary& vocabulary, bool of_bytes);

}  // namespace anabranch::hf::impl
