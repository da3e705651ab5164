// GGUF files: one file with a model's configuration, tokenizer, chat template and weights, read without llama.cpp.
//
// Whatever takes a model's folder takes such a file instead: ModelConfig, Tokenizer, ChatTemplate, GenerationConfig,
// ModelText, Weights, torch::CausalLm. Metadata becomes what config.json and tokenizer.json of the same model say, and
// goes through the same readers; tensors get the names, and the order of rows, that they have in a folder. What they
// cannot be turned into is refused by name. docs/models.md says what is taken.
#pragma once

#include <filesystem>
#include <vector>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// Whether a path is read as a GGUF file: its name ends in ".gguf", or it is a file that begins with "GGUF".
bool is_gguf(const std::filesystem::path& path);

/// The files of the model that `file` belongs to, in their order: itself, or all parts of a split one
/// ("NAME-00001-of-00003.gguf"), of which any may be named. Throws bad_file for what is no GGUF file, and for parts
/// that are missing or do not belong together.
std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& file);

}  // namespace anabranch::hf
