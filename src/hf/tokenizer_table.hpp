// The contents of a tokenizer.json, ready for use.
#pragma once

#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.hpp"
#include "bpe.hpp"
#include "pre_tokenizer.hpp"

namespace anabranch::hf::impl {

/// A token of the vocabulary; its value is the token's id.
using TokenIndex = Index<struct VocabularyToken>;
struct VocabularyToken {
  std::string bytes;  ///< empty where the id names no token
  bool special = false;
};

struct TokenizerTable {
  bool compose = false;        ///< text is normalised to NFC, outside added tokens that are taken verbatim
  AddedTokens verbatim{{}};    ///< looked for in the text as it is
  AddedTokens normalised{{}};  ///< looked for in the normalised text
  std::optional<PreTokenizer> pre_tokenizer;
  Bpe bpe;
  std::vector<TokenId> before, after;  ///< put around every text when asked for
  IndexedVector<VocabularyToken, TokenIndex> tokens{std::pmr::new_delete_resource()};
  std::unordered_map<std::string, TokenId> added;
};

/// Builds the table. Throws `bad_file` or `unsupported`; messages start with `name`.
TokenizerTable read_tokenizer_json(std::string_view json, const std::string& name);

}  // namespace anabranch::hf::impl
