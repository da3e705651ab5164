#include "layer_kinds.hpp"

#include <algorithm>
#include <optional>

namespace anabranch::torch {
namespace {

/// The index of the equal element, which is added where there is none.
template <class T>
std::size_t index_in(std::vector<T>& all, const T& wanted) {
  const auto found = std::find(all.begin(), all.end(), wanted);
  const auto index = static_cast<std::size_t>(found - all.begin());
  if (found == all.end()) all.push_back(wanted);
  return index;
}

}  // namespace

LayerKinds layer_kinds(const hf::ModelConfig& config) {
  LayerKinds kinds;
  std::vector<std::optional<hf::RopeConfig>> ropes;
  for (std::size_t l = 0; l < static_cast<std::size_t>(config.n_layers); ++l) {
    const std::int32_t window = config.window_of(l);
    const attention::ScoreOptions scores{.scale = static_cast<float>(config.query_scale),
                                         .softcap = static_cast<float>(config.score_softcap),
                                         .window = window < config.max_positions ? window : 0};
    const hf::RopeConfig* const rope = config.rope_of(l);
    kinds.layers.push_back(
        {index_in(kinds.scores, scores), index_in(ropes, rope != nullptr ? std::optional(*rope) : std::nullopt)});
  }
  for (const std::optional<hf::RopeConfig>& rope : ropes)
    kinds.rotations.push_back(
        rope ? Rotation{hf::rope_inverse_frequencies(*rope, config.head_dim), rope->attention_factor} : Rotation{});
  return kinds;
}

}  // namespace anabranch::torch
