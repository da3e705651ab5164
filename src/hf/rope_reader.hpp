// Reads the rotary settings of a `config.json`.
#pragma once

#include <optional>
#include <string_view>

#include <anabranch/hf/rope.hpp>

#include "architectures.hpp"
#include "json_file.hpp"

namespace anabranch::hf::impl {

std::optional<RopeScaling> rope_scaling_of(std::string_view name) noexcept;

/// Reads them into model.rope and model.window_rope, in the spellings of transformers 4 and 5, and sets the model's
/// positions. REQUIRES: head_dim is known. Throws bad_file or unsupported.
void read_rope(const JsonObject& config, const ArchitectureSpec& spec, ModelConfig& model);

}  // namespace anabranch::hf::impl
