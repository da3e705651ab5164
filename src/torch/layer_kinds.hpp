// Which layers of a model attend alike, and which turn their heads alike.
//
// A pass plans its attention once for each kind of scores, and has one table of angles for each rotation, however many
// layers there are. A Llama has one of both; Gemma 3 has layers with a window, and layers without, and each of the two
// turns by wavelengths of its own.
#pragma once

#include <cstddef>
#include <vector>

#include <anabranch/attention/score_options.hpp>
#include <anabranch/hf/config.hpp>

namespace anabranch::torch {

/// Angles of the rotary pairs.
struct Rotation {
  std::vector<double> frequencies;  ///< radians per position, [pairs]; empty: nothing turns
  double factor = 1.0;              ///< of cosines and sines
};

struct LayerKinds {
  /// Indices of what a layer has.
  struct OfLayer {
    std::size_t scores = 0, rotation = 0;
  };
  std::vector<attention::ScoreOptions> scores;
  std::vector<Rotation> rotations;
  std::vector<OfLayer> layers;  ///< [n_layers]

  const attention::ScoreOptions& scores_of(std::size_t layer) const noexcept { return scores[layers[layer].scores]; }
};

/// A window that no text of the model's positions can leave counts as none.
LayerKinds layer_kinds(const hf::ModelConfig& config);

}  // namespace anabranch::torch
