// The contents of a tokenizer.json, ready for use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.hpp"
#include "bpe.hpp"
#include "pre_tokenizer.hpp"
#include "token_table.hpp"

namespace anabranch::hf::impl {

struct TokenizerTable {
  bool compose = false;        ///< text is normalised to NFC, outside added tokens that are taken verbatim
  AddedTokens verbatim{{}};    ///< looked for in the text as it is
  AddedTokens normalised{{}};  ///< looked for in the normalised text
  std::optional<PreTokenizer> pre_tokenizer;
  Bpe bpe;
  std::vector<TokenId> before, after;  ///< put around every text when asked for
  TokenTable<std::string> bytes;       ///< empty where there is no token
  TokenTable<bool> special;
  std::unordered_map<std::string, TokenId> added;
};

/// Builds the table. Throws `bad_file` or `unsupported`; messages start with `name`.
TokenizerTable read_tokenizer_json(std::string_view json, const std::string& name);

}  // namespace anabranch::hf::impl
