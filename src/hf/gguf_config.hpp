// A GGUF file's metadata as the config.json and the generation_config.json of the same model, and its chat template.
#pragma once

#include <filesystem>
#include <vector>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/generation_config.hpp>

#include "gguf_file.hpp"
#include "json_file.hpp"

namespace anabranch::hf::impl {

/// The config.json of the same model. Throws `bad_file` or `unsupported`, naming file, key, expected or supported, and
/// found. Keys of the architecture that are not known are refused.
Json gguf_config(const std::vector<GgufFile>& files);

/// The same, read; tensors that the configuration does not use are refused.
ModelConfig load_gguf_config(const std::filesystem::path& file);

/// The settings under `general.sampling`.
GenerationConfig gguf_generation(const GgufFile& file);

/// `tokenizer.chat_template`, or `plain` without one.
ChatTemplate gguf_chat_template(const GgufFile& file);

}  // namespace anabranch::hf::impl
