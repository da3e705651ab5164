#include "gguf_pre_tokenizers.hpp"

#include <algorithm>
#include <array>

namespace anabranch::hf::impl {
namespace {

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                                R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                                R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::array kKnown{
    GgufPreTokenizer{.name = "gpt-2", .of = "openai-community/gpt2", .pattern = nullptr},
    GgufPreTokenizer{.name = "smollm", .of = "HuggingFaceTB/SmolLM-135M", .pattern = nullptr, .digits = true},
    GgufPreTokenizer{
        .name = "llama-bpe", .of = "meta-llama/Meta-Llama-3-8B", .pattern = kLlama3, .words = true, .add_bos = true},
    GgufPreTokenizer{
        .name = "llama3", .of = "meta-llama/Meta-Llama-3-8B", .pattern = kLlama3, .words = true, .add_bos = true},
    GgufPreTokenizer{
        .name = "llama-v3", .of = "meta-llama/Meta-Llama-3-8B", .pattern = kLlama3, .words = true, .add_bos = true},
    GgufPreTokenizer{.name = "qwen2", .of = "Qwen/Qwen1.5-7B", .pattern = kQwen2, .nfc = true},
    GgufPreTokenizer{
        .name = "tekken", .of = "mistralai/Mistral-Nemo-Base-2407", .pattern = kTekken, .words = true, .add_bos = true},
    GgufPreTokenizer{.name = "dbrx", .of = "microsoft/phi-4", .pattern = kLlama3},
    GgufPreTokenizer{.name = "gpt-4o", .of = "microsoft/Phi-4-mini-instruct", .pattern = kGpt4o},
};

}  // namespace

const GgufPreTokenizer* find_pre_tokenizer(std::string_view name) noexcept {
  const auto found = std::find_if(kKnown.begin(), kKnown.end(), [&](const auto& known) { return name == known.name; });
  return found == kKnown.end() ? nullptr : &*found;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (std::size_t i = 0; i < kKnown.size(); ++i)
    names += std::string(i == 0 ? "" : i + 1 == kKnown.size() ? " and " : ", ") + kKnown[i].name;
  return names;
}

}  // namespace anabranch::hf::impl
