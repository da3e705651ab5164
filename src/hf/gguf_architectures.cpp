#include "gguf_architectures.hpp"

#include <algorithm>
#include <array>

namespace anabranch::hf::impl {
namespace {

constexpr std::array kGgufArchitectures{
    GgufArchitecture{.name = "llama", .class_name = "LlamaForCausalLM", .rotary_pairs = true},
    GgufArchitecture{.name = "qwen2", .class_name = "Qwen2ForCausalLM"},
    GgufArchitecture{.name = "qwen3", .class_name = "Qwen3ForCausalLM", .qk_norm = true},
    GgufArchitecture{.name = "gemma", .class_name = "GemmaForCausalLM", .norms_less_one = true},
    GgufArchitecture{.name = "gemma2", .class_name = "Gemma2ForCausalLM", .norms_less_one = true, .post_norms = true},
    GgufArchitecture{.name = "gemma3",
                     .class_name = "Gemma3ForCausalLM",
                     .norms_less_one = true,
                     .post_norms = true,
                     .qk_norm = true},
    GgufArchitecture{.name = "phi3", .class_name = "Phi3ForCausalLM", .fused = true},
};

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) noexcept {
  const auto found =
      std::find_if(kGgufArchitectures.begin(), kGgufArchitectures.end(), [&](const auto& a) { return name == a.name; });
  return found == kGgufArchitectures.end() ? nullptr : &*found;
}

std::string gguf_architecture_names() {
  std::string names;
  for (std::size_t i = 0; i < kGgufArchitectures.size(); ++i)
    names += std::string(i == 0                               ? ""
                         : i + 1 == kGgufArchitectures.size() ? " and "
                                                              : ", ") +
             kGgufArchitectures[i].name;
  return names;
}

}  // namespace anabranch::hf::impl
