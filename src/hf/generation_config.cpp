#include <anabranch/hf/generation_config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include <anabranch/hf/gguf.hpp>

#include "gguf_config.hpp"
#include "json_file.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;

/// A key that changes which tokens are chosen, and the number that does not. false and what is empty never does.
struct Refused {
  const char* key;
  double neutral;
};
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();  // no number is neutral
constexpr std::array<Refused, 21> kRefused{{{"num_beams", 1},
                                            {"num_beam_groups", 1},
                                            {"penalty_alpha", 0},
                                            {"guidance_scale", 1},
                                            {"diversity_penalty", 0},
                                            {"encoder_repetition_penalty", 1},
                                            {"encoder_no_repeat_ngram_size", 0},
                                            {"min_length", 0},
                                            {"min_new_tokens", 0},
                                            {"sequence_bias", kNothing},
                                            {"bad_words_ids", kNothing},
                                            {"suppress_tokens", kNothing},
                                            {"begin_suppress_tokens", kNothing},
                                            {"exponential_decay_length_penalty", kNothing},
                                            {"stop_strings", kNothing},
                                            {"forced_bos_token_id", kNothing},
                                            {"force_words_ids", kNothing},
                                            {"constraints", kNothing},
                                            {"dola_layers", kNothing},
                                            {"token_healing", kNothing},
                                            {"watermarking_config", kNothing}}};
constexpr std::array<Refused, 4> kRefusedWhenSampling{
    {{"typical_p", 1}, {"epsilon_cutoff", 0}, {"eta_cutoff", 0}, {"top_h", kNothing}}};

void refuse(const JsonObject& file, const Refused& setting) {
  const Json* value = file.find(setting.key);
  if (value == nullptr || *value == false || ((value->is_array() || value->is_object()) && value->empty())) return;
  if (value->is_number() && value->get<double>() == setting.neutral) return;
  file.unsupported(setting.key, impl::shown(*value) +
                                    " is not supported; supported are do_sample, temperature, top_k, top_p, min_p, "
                                    "repetition_penalty and no_repeat_ngram_size. GenerateOptions::model_defaults = "
                                    "false leaves the file aside");
}

/// A number from `least` to `most` as a float above 0 where `least` is: one that is too small for a float is the
/// smallest.
std::optional<float> number(const JsonObject& file, const char* key, double least, double most) {
  const Json* value = file.find(key);
  if (value == nullptr) return std::nullopt;
  const std::string expected = std::isfinite(most)
                                   ? "a number from 0 to 1"
                                   : std::string("a finite number ") + (least > 0 ? "above 0" : "from 0 on");
  const double found = value->is_number() ? value->get<double>() : kNothing;
  if (!(found >= least && found <= most) || !std::isfinite(static_cast<float>(found)))
    file.wrong(key, expected, *value);
  return std::max(static_cast<float>(found), found > 0 ? std::numeric_limits<float>::min() : 0.0f);
}

void read_sampling(const JsonObject& file, GenerationConfig& config) {
  constexpr double kAboveZero = std::numeric_limits<double>::denorm_min(),
                   kAny = std::numeric_limits<double>::infinity();
  config.temperature = number(file, "temperature", kAboveZero, kAny).value_or(1.0f);
  config.top_k = file.integer_or("top_k", 0, 50);
  config.top_p = number(file, "top_p", 0, 1);
  // No probability at all leaves the likeliest token, as the smallest one does.
  if (config.top_p) config.top_p = std::max(*config.top_p, std::numeric_limits<float>::min());
  config.min_p = number(file, "min_p", 0, 1);
  for (const Refused& setting : kRefusedWhenSampling) refuse(file, setting);
}

}  // namespace

GenerationConfig GenerationConfig::load(const std::filesystem::path& folder) {
  if (is_gguf(folder)) return impl::gguf_generation(impl::open_gguf(folder).front());
  GenerationConfig config;
  std::filesystem::path path = folder / "generation_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) path = folder / "config.json";  // earlier models have them there
  if (!std::filesystem::exists(path, error)) return config;
  const Json json = impl::parse_json(impl::read_file(path), path.string());
  const JsonObject file(json, path.string());
  config.do_sample = file.flag_or("do_sample", false);
  if (config.do_sample) read_sampling(file, config);
  config.repetition_penalty = number(file, "repetition_penalty", std::numeric_limits<double>::denorm_min(),
                                     std::numeric_limits<double>::infinity());
  if (file.find("no_repeat_ngram_size") != nullptr) config.no_repeat_ngram = file.integer("no_repeat_ngram_size", 0);
  for (const Refused& setting : kRefused) refuse(file, setting);
  return config;
}

}  // namespace anabranch::hf
