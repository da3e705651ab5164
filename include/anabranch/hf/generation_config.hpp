// A model folder's own way of choosing tokens: the sampling settings of `generation_config.json`, read as transformers
// reads them. What it leaves out has transformers' default: greedy, and when it samples top-k 50.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// A number is there when it changes something: without `do_sample` those that belong to sampling are not.
struct GenerationConfig {
  bool do_sample = false;  ///< the likeliest token otherwise
  std::optional<float> temperature;
  std::optional<std::int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<std::int32_t> no_repeat_ngram;  ///< the file's `no_repeat_ngram_size`

  /// Reads `folder/generation_config.json`; without it the same keys of `folder/config.json`; without both all is as by
  /// default. Of a GGUF file: `general.sampling`, which samples where it has a temperature above 0. Throws bad_file
  /// (file, key, expected, found) or unsupported for a setting that would choose other tokens and cannot be had, such
  /// as `num_beams`.
  static GenerationConfig load(const std::filesystem::path& folder);
};

}  // namespace anabranch::hf
