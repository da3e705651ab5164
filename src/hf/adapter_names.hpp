// The names under which `peft` stores an adapter's tensors.
#pragma once

#include <string_view>

namespace anabranch::hf::impl {

inline constexpr const char* kAdapterConfigFile = "adapter_config.json";
inline constexpr const char* kAdapterTensorFile = "adapter_model.safetensors";
/// `peft` wraps the model twice and saves the names that this gives.
inline constexpr std::string_view kWrapped = "base_model.model.";
inline constexpr std::string_view kFactorA = ".lora_A.weight", kFactorB = ".lora_B.weight";
inline constexpr std::string_view kFactorBias = ".lora_B.bias";
inline constexpr std::string_view kEmbeddingA = ".lora_embedding_A", kEmbeddingB = ".lora_embedding_B";
inline constexpr std::string_view kMagnitude = ".lora_magnitude_vector";
inline constexpr std::string_view kMagnitudeWeight = ".lora_magnitude_vector.weight";
inline constexpr std::string_view kRowsOfTokens = ".token_adapter.trainable_tokens_delta";
inline constexpr const char* kTokenRows = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
inline constexpr const char* kHeadRows = "base_model.model.lm_head.token_adapter.trainable_tokens_delta";

}  // namespace anabranch::hf::impl
