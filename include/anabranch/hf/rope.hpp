// Rotary embedding: which angles a head's pairs turn by, and how these are stretched for long contexts.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/types.hpp>

namespace anabranch::hf {

/// How the rotary frequencies are stretched for long contexts.
///
/// `dynamic` stretches only beyond the model's positions, which a runner does not leave: inside it is `none`.
enum class RopeScaling : std::uint8_t { none, linear, dynamic, llama3, yarn, longrope };

/// Name as `config.json` writes it, such as "yarn"; "default" for none.
const char* rope_scaling_name(RopeScaling scaling) noexcept;

/// Rotary embedding. Numbers behind a kind's name mean something for that kind only.
struct RopeConfig {
  double theta = 10000.0;  ///< base of the wavelengths
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                  ///< linear: all wavelengths are stretched by this; llama3, yarn: long ones
  double low_freq_factor = 1.0;         ///< llama3: wavelengths above original_max_positions / this are stretched whole
  double high_freq_factor = 4.0;        ///< llama3: wavelengths below original_max_positions / this stay
  Position original_max_positions = 0;  ///< context length before stretching
  double rotary_share = 1.0;            ///< the part of each head, from its first element on, that turns
  double attention_factor = 1.0;        ///< cosines and sines are multiplied by this: yarn, longrope
  double beta_fast = 32.0;              ///< yarn: pairs that turn more often in the original context stay
  double beta_slow = 1.0;               ///< yarn: pairs that turn less often are stretched whole
  bool truncate = true;                 ///< yarn: the borders between these pairs are whole numbers
  /// longrope: what each wavelength is stretched by, [rotary pairs], in texts of up to original_max_positions tokens,
  /// and in longer ones.
  std::vector<double> short_factors = {}, long_factors = {};
  bool long_text = false;  ///< longrope: the long factors count

  bool operator==(const RopeConfig&) const = default;
};

/// Elements of a head that turn.
std::int32_t rotary_width(const RopeConfig& rope, std::int32_t head_dim) noexcept;

/// Angle per position of each rotary pair, radians, [rotary_width / 2]: pair i turns by position * result[i].
/// Formulas: transformers `modeling_rope_utils.py`. Requires even `head_dim` and width > 0, and as many short and long
/// factors as pairs for longrope.
std::vector<double> rope_inverse_frequencies(const RopeConfig& rope, std::int32_t head_dim);

}  // namespace anabranch::hf
