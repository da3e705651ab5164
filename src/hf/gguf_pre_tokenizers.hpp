// Names that `tokenizer.ggml.pre` has, each with the steps of the published tokenizer.json that it was made from.
#pragma once

#include <string>
#include <string_view>

namespace anabranch::hf::impl {

struct GgufPreTokenizer {
  const char* name;
  const char* of;        ///< the model on the Hugging Face hub whose tokenizer.json has these steps
  const char* pattern;   ///< text is cut into its matches; null: as GPT-2 does
  bool digits = false;   ///< single digits are cut out first
  bool nfc = false;      ///< the text is brought into the normal form NFC first
  bool words = false;    ///< `ignore_merges`: a word that is a token is that token
  bool add_bos = false;  ///< where the file does not say
};

/// nullptr for a name that is not known.
const GgufPreTokenizer* find_pre_tokenizer(std::string_view name) noexcept;
/// The known names, as a sentence's list.
std::string pre_tokenizer_names();

}  // namespace anabranch::hf::impl
