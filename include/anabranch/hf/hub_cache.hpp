// Models named as on a hub, "Qwen/Qwen2.5-0.5B-Instruct": found in the local cache that Hugging Face's tools fill.
#pragma once

#include <filesystem>

#include <anabranch/version.hpp>

namespace anabranch::hf {

/// Where Hugging Face's tools keep what they fetch: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, `hub` in HF_HOME, else
/// `huggingface/hub` in XDG_CACHE_HOME or ~/.cache. Need not exist.
std::filesystem::path hub_cache();

/// The folder of the model `name`: what exists under this path; else, for a name as on a hub, the snapshot that
/// `refs/main` of the cache names. Throws bad_file for a name like OWNER/MODEL that is in neither place, or is there in
/// part, and says how to fetch it. Every other name comes back as it is, for its reader to report.
std::filesystem::path find_model(const std::filesystem::path& name);

}  // namespace anabranch::hf
