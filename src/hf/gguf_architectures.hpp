// The architectures that are read from GGUF files, and what such a file keeps otherwise than a folder.
#pragma once

#include <string>
#include <string_view>

namespace anabranch::hf::impl {

struct GgufArchitecture {
  const char* name;             ///< `general.architecture`
  const char* class_name;       ///< as config.json has it
  bool rotary_pairs = false;    ///< rows of q and k: the two elements of a rotary pair stand side by side
  bool norms_less_one = false;  ///< the file's norms are 1 + the factors of a folder
  bool post_norms = false;      ///< norms behind attention and behind the feed-forward, too
  bool qk_norm = false;         ///< norms of each head of q and k
  bool fused = false;           ///< q, k and v are one matrix; gate and up are another
};

/// nullptr for one that is not read.
const GgufArchitecture* find_gguf_architecture(std::string_view name) noexcept;
/// Their names, as a sentence's list.
std::string gguf_architecture_names();

}  // namespace anabranch::hf::impl
