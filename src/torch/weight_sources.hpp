// Descriptions of what prepared weights depend on: the files that they are made of, and the machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "weight_cache.hpp"

namespace anabranch::torch {

/// One line for each file: path, size, time of the last change and hash. Files of up to 16 MiB are hashed whole, larger
/// ones (tensors) by their first MiB, which has the header. None: one cannot be read.
std::optional<std::string> describe_sources(const ModelSources& sources);

/// The contents of the model's files, or the adapter's, wherever they lie: name, size and hash of each. Files of up to
/// 16 MiB are hashed whole, larger ones by pieces all over them: enough to tell two models of one shape apart.
std::string describe_model(const std::filesystem::path& folder);
std::string describe_adapter(const std::filesystem::path& folder);

/// Model and instructions of the processor, the instruction set in use, threads.
std::string describe_machine();

}  // namespace anabranch::torch
