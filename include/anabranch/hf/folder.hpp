// A model folder as Hugging Face lays it out: everything about a model but the code that runs it.
#pragma once

#include <filesystem>

#include <anabranch/hf/chat_template.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/hf/safetensors.hpp>
#include <anabranch/hf/tokenizer.hpp>

namespace anabranch::hf {

struct ModelFolder {
  std::filesystem::path path;
  ModelConfig config;   ///< config.json, generation_config.json; with all tokens that end an answer (hf::ends_of_turn)
  Tokenizer tokenizer;  ///< tokenizer.json
  ChatTemplate chat;    ///< chat_template.jinja or tokenizer_config.json; `plain` without either
  Weights weights;      ///< model.safetensors or its shards; mapped, not read

  /// Opens all of it. Throws `bad_file` or `unsupported`, naming what is missing or wrong. The tokenizer may have
  /// tokens behind the model's vocabulary, such as Gemma 3's `image_soft_token`: those have no row and cannot be
  /// computed.
  static ModelFolder open(const std::filesystem::path& path);
};

}  // namespace anabranch::hf
