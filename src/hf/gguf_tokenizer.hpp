// The tokenizer of a GGUF file, as the tokenizer.json of the same model has it.
//
// A file says which tokens there are, how they merge, and, by a name, how text is cut before: the steps that a name
// stands for are those of a published tokenizer.json (gguf_pre_tokenizers.hpp). A vocabulary by scores (SentencePiece)
// has no merges: they follow from the scores, as transformers makes them.
#pragma once

#include "gguf_file.hpp"
#include "tokenizer_file.hpp"

namespace anabranch::hf::impl {

/// Throws `bad_file` or `unsupported`: file, key, expected or supported, found.
TokenizerFile gguf_tokenizer(const GgufFile& file);

/// The text of a token that the metadata names by its id ("tokenizer.ggml.bos_token_id"); none: it names none.
std::optional<std::string> gguf_token_text(const GgufFile& file, const char* key);

}  // namespace anabranch::hf::impl
