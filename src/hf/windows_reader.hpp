// Reads which layers have a sliding window.
#pragma once

#include <cstdint>
#include <vector>

#include "architectures.hpp"
#include "json_file.hpp"

namespace anabranch::hf::impl {

/// ModelConfig::windows, of a model whose layers are counted, and known to turn or not. Throws bad_file or unsupported.
std::vector<std::int32_t> read_windows(const JsonObject& config, const ArchitectureSpec& spec,
                                       const ModelConfig& model);

}  // namespace anabranch::hf::impl
