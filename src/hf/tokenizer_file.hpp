// The JSON of a tokenizer.json. The two lists that make it large, the model's `vocab` and `merges`, are taken out while
// it is parsed: a vocabulary of 262,144 tokens has half a million merges, and as JSON values each would be several
// allocations.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <anabranch/types.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {

struct TokenizerFile {
  /// A text inside `texts`.
  struct Text {
    std::uint32_t offset = 0, size = 0;
  };
  struct Entry {
    Text text;
    TokenId id = kNone;
  };
  struct Merge {
    Text left, right;
  };

  Json rest;  ///< without the two lists
  bool has_vocabulary = false, has_merges = false;
  std::vector<Entry> vocabulary;  ///< in the order of the file; of an entry that is there twice the last counts
  std::vector<Merge> merges;      ///< best first
  std::string texts;

  std::string_view operator[](Text text) const { return std::string_view(texts).substr(text.offset, text.size); }
};

/// Throws `bad_file`, naming file and key: for what is no JSON, ids above `max_id`, merges that are no two tokens.
TokenizerFile parse_tokenizer_file(std::string_view json, const std::string& name, TokenId max_id);

}  // namespace anabranch::hf::impl
