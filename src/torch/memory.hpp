// The memory that a model takes, and the memory that there is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <anabranch/hf/config.hpp>
#include <anabranch/torch/load_options.hpp>

namespace anabranch::torch {

/// `weights` is not automatic.
MemoryEstimate estimate_memory(const hf::ModelConfig& config, const LoadOptions& options, Weights weights);

/// Bytes that can still be had, and of what.
struct FreeMemory {
  std::int64_t bytes = 0;
  std::string where;  ///< "this machine", "the control group /x"
};

/// The least of the machine's MemAvailable and what the control groups of this process leave, with the cache of files
/// counted as free. None: the system does not say.
std::optional<FreeMemory> free_memory();

/// Throws out_of_memory when the need is greater than the limit, or, without one, than what is free.
void require_memory(const MemoryEstimate& need, const LoadOptions& options, const std::filesystem::path& folder);

}  // namespace anabranch::torch
