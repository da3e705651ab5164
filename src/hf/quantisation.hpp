// `quantization_config` of config.json: how a model's matrices are stored in fewer bits.
#pragma once

#include <optional>

#include <anabranch/hf/config.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {

/// Reads it; none: the model is not quantised. Throws bad_file, or unsupported for what cannot be turned into floats.
std::optional<StoredQuantisation> read_quantisation(const JsonObject& config);

}  // namespace anabranch::hf::impl
