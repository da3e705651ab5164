// Reads a model's configuration from JSON, wherever that comes from.
#pragma once

#include <anabranch/hf/config.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {

/// Reads the object of a `config.json`. Throws bad_file or unsupported, as ModelConfig::load does.
ModelConfig read_config(const JsonObject& config);

/// Adds what the object of a `generation_config.json` says: more tokens that end an answer.
void read_generation_config(const JsonObject& settings, ModelConfig& model);

}  // namespace anabranch::hf::impl
