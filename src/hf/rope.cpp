#include <anabranch/hf/rope.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include <anabranch/error.hpp>

#include "rope_reader.hpp"

namespace anabranch::hf {
namespace {

constexpr std::array<std::pair<RopeScaling, const char*>, 6> kScalings{{{RopeScaling::none, "default"},
                                                                        {RopeScaling::linear, "linear"},
                                                                        {RopeScaling::dynamic, "dynamic"},
                                                                        {RopeScaling::llama3, "llama3"},
                                                                        {RopeScaling::yarn, "yarn"},
                                                                        {RopeScaling::longrope, "longrope"}}};

double llama3_frequency(const RopeConfig& rope, double frequency) {
  const double turns = rope.original_max_positions * frequency / (2 * std::numbers::pi);  // in the old context
  if (turns < rope.low_freq_factor) return frequency / rope.factor;
  if (turns > rope.high_freq_factor) return frequency;
  const double blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - blend) * frequency / rope.factor + blend * frequency;
}

/// Between the pairs that stay and those that are stretched whole the two are blended (Peng et al. 2023).
class YarnRamp {
 public:
  YarnRamp(const RopeConfig& rope, std::int32_t width) {
    const auto pair_of = [&](double turns) {
      return width * std::log(rope.original_max_positions / (turns * 2 * std::numbers::pi)) /
             (2 * std::log(rope.theta));
    };
    low_ = pair_of(rope.beta_fast);
    high_ = pair_of(rope.beta_slow);
    if (rope.truncate) low_ = std::floor(low_), high_ = std::ceil(high_);
    low_ = std::max(low_, 0.0);
    high_ = std::min(high_, width - 1.0);
    if (low_ == high_) high_ += 0.001;
  }
  /// The part of the pair that is stretched.
  double operator()(std::int32_t pair) const { return std::clamp((pair - low_) / (high_ - low_), 0.0, 1.0); }

 private:
  double low_ = 0, high_ = 0;
};

}  // namespace

const char* rope_scaling_name(RopeScaling scaling) noexcept {
  for (const auto& [value, name] : kScalings)
    if (value == scaling) return name;
  return "unknown";
}

std::optional<RopeScaling> impl::rope_scaling_of(std::string_view name) noexcept {
  for (const auto& [value, known] : kScalings)
    if (name == known) return value;
  return std::nullopt;
}

std::int32_t rotary_width(const RopeConfig& rope, std::int32_t head_dim) noexcept {
  return static_cast<std::int32_t>(head_dim * rope.rotary_share);
}

std::vector<double> rope_inverse_frequencies(const RopeConfig& rope, std::int32_t head_dim) {
  if (head_dim <= 0 || head_dim % 2 != 0)
    fail(Status::bad_argument, "head_dim: expected an even number above 0, found ", head_dim);
  const std::int32_t width = rotary_width(rope, head_dim);
  if (width <= 0 || width % 2 != 0 || width > head_dim)
    fail(Status::bad_argument, "rotary_share: expected an even part of ", head_dim, " elements, found ", width);
  const std::vector<double>& factors = rope.long_text ? rope.long_factors : rope.short_factors;
  if (rope.scaling == RopeScaling::longrope && std::ssize(factors) != width / 2)
    fail(Status::bad_argument, "factors of longrope: expected ", width / 2, ", found ", factors.size());
  std::optional<YarnRamp> ramp;
  if (rope.scaling == RopeScaling::yarn) ramp.emplace(rope, width);
  std::vector<double> result;
  for (std::int32_t i = 0; i < width / 2; ++i) {
    double frequency = std::pow(rope.theta, -2.0 * i / width);
    switch (rope.scaling) {
      case RopeScaling::none:
      case RopeScaling::dynamic: break;
      case RopeScaling::linear: frequency /= rope.factor; break;
      case RopeScaling::llama3: frequency = llama3_frequency(rope, frequency); break;
      case RopeScaling::yarn: frequency *= (*ramp)(i) / rope.factor + 1 - (*ramp)(i); break;
      case RopeScaling::longrope: frequency /= factors[static_cast<std::size_t>(i)]; break;
    }
    result.push_back(frequency);
  }
  return result;
}

}  // namespace anabranch::hf
