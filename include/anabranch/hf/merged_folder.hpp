// An adapter merged into its model for good: a Hugging Face folder that needs no adapter any more.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>

#include <anabranch/hf/dtype.hpp>

namespace anabranch::hf {

struct MergeOptions {
  std::filesystem::path model;    ///< Hugging Face folder
  std::filesystem::path adapter;  ///< PEFT LoRA folder
  std::filesystem::path merged;   ///< the folder to write; must not exist
  Dtype dtype = Dtype::f32;       ///< of the weights written: f32 or bf16
  /// Told after each tensor how many of all are written; false stops the merge.
  std::function<bool(std::size_t n_written, std::size_t n_tensors)> on_tensor = {};
};

/// Writes config, generation settings, tokenizer and chat template of the model, anabranch.json of the adapter (else
/// the model's), and all weights with the adapter in them, in one model.safetensors. The folder appears whole or not at
/// all. Memory: the adapter and one tensor. False when `on_tensor` stopped it; then nothing of the folder stays. Throws
/// bad_argument (the folder exists, another dtype), bad_file or unsupported.
bool write_merged_folder(const MergeOptions& options);

}  // namespace anabranch::hf
