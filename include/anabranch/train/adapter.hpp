// A trained adapter, as files.
#pragma once

#include <filesystem>
#include <string>

#include <anabranch/hf/adapter.hpp>
#include <anabranch/train/model.hpp>

namespace anabranch::train {

/// The adapter of a model tuned with low rank, a copy. `base_model` names what it was trained on. Throws bad_argument
/// for a model that is tuned whole.
hf::Adapter adapter_of(const Model& model, const std::string& base_model);

/// Writes a model tuned whole as a Hugging Face folder: new weights (float32), everything else as in `base`. Throws
/// bad_file, or bad_argument for a model tuned with low rank.
void save_model(const Model& model, const std::filesystem::path& base, const std::filesystem::path& folder);

}  // namespace anabranch::train
