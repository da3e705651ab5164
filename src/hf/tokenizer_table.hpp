// The contents of a tokenizer.json, ready for use.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.hpp"
#include "bpe.hpp"
#include "normalizer.hpp"
#include "pre_tokenizer.hpp"
#include "text_decoder.hpp"
#include "token_table.hpp"
#include "tokenizer_file.hpp"
#include "tokenizer_settings.hpp"

namespace anabranch::hf::impl {

struct TokenizerTable {
  Normalizer normalizer;       ///< of text outside added tokens that are taken verbatim
  AddedTokens verbatim{{}};    ///< looked for in the text as it is
  AddedTokens normalised{{}};  ///< looked for in the normalised text
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  TextDecoder decoder;
  std::vector<TokenId> before, after;  ///< put around every text when asked for
  TokenTable<std::string> bytes;       ///< in the midst of others; empty where there is no token
  TokenTable<std::string> texts;       ///< what the decoder takes; only where `bytes` does not say it all
  TokenTable<bool> exists;
  TokenTable<bool> is_byte;  ///< such as "<0x0A>", for a decoder that joins them
  TokenTable<bool> special;  ///< not looked for in plain text
  TokenTable<bool> skipped;  ///< left out of text without special tokens
  std::unordered_map<std::string, TokenId> added;
};

/// Builds the table of what a tokenizer.json, or another file of the same meaning, says. Throws `bad_file` or
/// `unsupported`; messages start with `name`.
TokenizerTable read_tokenizer(const TokenizerFile& file, const std::string& name);

/// The same from JSON text, and the settings that stand beside the file or nullptr. Throws `bad_file` or `unsupported`;
/// messages start with `name`. All allocations together take at most kMostMemory + kMemoryPerByte * json.size() bytes.
TokenizerTable read_tokenizer_json(std::string_view json, const std::string& name,
                                   const TokenizerSettings* settings = nullptr);
inline constexpr std::size_t kMostMemory = 1 << 16;
inline constexpr std::size_t kMemoryPerByte = 256;

}  // namespace anabranch::hf::impl
