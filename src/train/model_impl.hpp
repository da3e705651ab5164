// The parts that Model and Optimizer share.
#pragma once

#include <anabranch/train/model.hpp>

#include "network.hpp"

namespace anabranch::train {

struct Model::Impl {
  hf::ModelConfig config;
  ModelOptions options;
  Network network;
};

}  // namespace anabranch::train
