// Reads which layers have a sliding window.
#pragma once

#include <cstdint>
#include <vector>

#include "architectures.hpp"
#include "json_file.hpp"

namespace anabranch::hf::impl {

/// ModelConfig::windows. Throws bad_file or unsupported.
std::vector<std::int32_t> read_windows(const JsonObject& config, const ArchitectureSpec& spec, std::int32_t n_layers);

}  // namespace anabranch::hf::impl
