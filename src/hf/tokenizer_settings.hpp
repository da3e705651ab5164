// The tokens of a tokenizer_config.json: transformers lists them behind the `added_tokens` of the tokenizer.json beside
// it, so that their settings count, and so that new ones come to be.
#pragma once

#include <string>
#include <vector>

#include <anabranch/types.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {

struct TokenizerSettings {
  /// Of `added_tokens_decoder`, by id: entries like those of `added_tokens`, whose ids do not count.
  std::vector<Json> tokens;
  /// Named special tokens and `extra_special_tokens`: special, whatever else says so.
  std::vector<std::string> specials;
  std::string where;  ///< the file
};

/// Reads the object of a tokenizer_config.json. Throws bad_file, or unsupported for `split_special_tokens`.
TokenizerSettings read_tokenizer_settings(const JsonObject& config);

}  // namespace anabranch::hf::impl
