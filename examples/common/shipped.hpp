// What the programs take when no model is named, and the names of weight types on their command lines.
#pragma once

#include <map>
#include <string>

#include <anabranch/torch/causal_lm.hpp>

namespace example {

inline constexpr const char* kModel = "build/models/smollm2-135m";
/// The adapter that taught this model to branch, and the penalty that it was measured with.
inline constexpr const char* kAdapter = "examples/train/adapters/aspd";
inline constexpr float kPenalty = 1.1f;

inline const std::map<std::string, anabranch::torch::Weights> kWeights{{"auto", anabranch::torch::Weights::automatic},
                                                                       {"f32", anabranch::torch::Weights::float32},
                                                                       {"bf16", anabranch::torch::Weights::bfloat16},
                                                                       {"int8", anabranch::torch::Weights::int8}};

}  // namespace example
