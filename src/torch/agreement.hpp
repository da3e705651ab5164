// Whether all ranks are about to compute the same model in the same way.
#pragma once

#include <string>
#include <vector>

#include <anabranch/collective.hpp>
#include <anabranch/hf/config.hpp>
#include <anabranch/torch/load_options.hpp>

#include "weight_cache.hpp"

namespace anabranch::torch {

/// A thing that must be equal on all ranks.
struct Fact {
  const char* name;
  std::string value;
};

/// The things that a rank's numbers depend on.
std::vector<Fact> facts_of(const ModelSources& sources, const hf::ModelConfig& config, const LoadOptions& options,
                           Weights weights);

/// Compares every rank's facts with rank 0's. Throws bad_argument, on all ranks, naming the first rank that differs and
/// in what; and what operations throw.
void require_agreement(Collective& ranks, const std::vector<Fact>& facts);

/// The type of weights that rank 0 has chosen, on all ranks.
Weights share_choice(Collective& ranks, Weights chosen);

}  // namespace anabranch::torch
