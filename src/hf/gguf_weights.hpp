// The tensors of a GGUF file under the names that they have in a Hugging Face folder.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <anabranch/hf/safetensors.hpp>

#include "gguf_architectures.hpp"
#include "gguf_file.hpp"

namespace anabranch::hf::impl {

/// The architecture of a file. Throws `unsupported` for others than those that are read.
const GgufArchitecture& gguf_architecture(const GgufFile& file);

/// All tensors of the model but the factors of its rotations, which are part of its configuration. Throws `bad_file` or
/// `unsupported`, naming file and tensor; a tensor that the architecture does not have is refused.
std::map<std::string, Tensor, std::less<>> gguf_tensors(const std::vector<GgufFile>& files);

/// The values of a tensor of the files as a folder has them.
std::vector<float> read_values(const GgufTensor& tensor);

}  // namespace anabranch::hf::impl
