// The chat template and the sampling settings of a GGUF file.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "gguf_config.hpp"
#include "gguf_tokenizer.hpp"

namespace anabranch::hf::impl {
namespace {

/// A number of `general.sampling` inside its limits; none: it is not there.
std::optional<float> setting(const GgufFile& file, const char* key, double least, double most) {
  const auto value = file.number(key);
  if (!value) return std::nullopt;
  if (*value < least || *value > most || !std::isfinite(static_cast<float>(*value)))
    file.wrong(key,
               "a number from " + std::to_string(least) + (std::isfinite(most) ? " to " + std::to_string(most) : " on"),
               std::to_string(*value));
  return static_cast<float>(*value);
}

}  // namespace

GenerationConfig gguf_generation(const GgufFile& file) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  GenerationConfig config;
  for (const char* key : {"general.sampling.mirostat", "general.sampling.xtc_probability"})
    if (const auto value = file.number(key); value.value_or(0) != 0)
      file.unsupported(key, std::to_string(*value) +
                                " is not supported, only 0; GenerateOptions::model_defaults = false leaves the file's "
                                "sampling settings aside");
  config.temperature = setting(file, "general.sampling.temp", 0, kAny);
  config.top_k = file.integer("general.sampling.top_k");
  config.top_p = setting(file, "general.sampling.top_p", 0, 1);
  config.min_p = setting(file, "general.sampling.min_p", 0, 1);
  config.repetition_penalty = setting(file, "general.sampling.penalty_repeat", std::numeric_limits<float>::min(), kAny);
  if (config.top_p) config.top_p = std::max(*config.top_p, std::numeric_limits<float>::min());
  config.do_sample = config.temperature.value_or(0.0f) > 0.0f;
  if (!config.do_sample) config.temperature.reset(), config.top_k.reset(), config.top_p.reset(), config.min_p.reset();
  return config;
}

ChatTemplate gguf_chat_template(const GgufFile& file) {
  std::map<std::string, std::string> tokens;
  const std::pair<const char*, const char*> named[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                       {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                       {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                                       {"pad_token", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [name, key] : named)
    if (auto text = gguf_token_text(file, key)) tokens[name] = std::move(*text);
  constexpr const char* kTemplate = "tokenizer.chat_template";
  if (const auto jinja = file.text(kTemplate))
    return ChatTemplate::parse(*jinja, std::move(tokens), file.where() + ": '" + kTemplate + "'");
  ChatTemplate chat = ChatTemplate::of(ChatFamily::plain);
  chat.tokens = std::move(tokens);
  return chat;
}

}  // namespace anabranch::hf::impl
