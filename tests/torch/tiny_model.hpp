// Tiny random models as Hugging Face folders, so that the runner and the oracle hold the same weights.
#pragma once

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <anabranch/eigen/tensors.hpp>
#include <anabranch/eigen/weights.hpp>
#include <anabranch/hf/safetensors.hpp>

namespace anabranch::test {

/// A folder that lives as long as this object.
class TinyFolder {
 public:
  explicit TinyFolder(const eigen::Weights& weights) {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("anabranch_tiny_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
    write_config(eigen::config_json(weights.shape));
    write_tensors(eigen::named_tensors(weights));
  }
  TinyFolder(const TinyFolder&) = delete;
  TinyFolder& operator=(const TinyFolder&) = delete;
  ~TinyFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const noexcept { return path_; }

  void write_config(const std::string& text) const { std::ofstream(path_ / "config.json") << text; }

  void write_tensors(const std::vector<eigen::NamedTensor>& tensors) const {
    std::vector<hf::FloatTensor> views;
    for (const eigen::NamedTensor& t : tensors) views.push_back({t.name, t.shape, t.values});
    hf::write_safetensors(path_ / "model.safetensors", views);
  }

 private:
  std::filesystem::path path_;
};

/// The families that the runner knows, in sizes where heads, head size and widths all differ.
inline eigen::Shape llama_shape() {
  eigen::Shape s;
  s.hidden = 48;
  s.query_heads = 6;
  s.kv_heads = 2;
  s.tied_head = true;
  return s;
}
inline eigen::Shape qwen2_shape() {
  eigen::Shape s;
  s.qkv_bias = true;
  s.rope_theta = 1000000.0;
  s.norm_epsilon = 1e-6;
  return s;
}
inline eigen::Shape qwen3_shape() {
  eigen::Shape s;
  s.qk_norm = true;
  s.head_size = 16;
  s.kv_heads = 1;
  s.layers = 3;
  return s;
}

inline eigen::Shape mistral_shape() {
  eigen::Shape s;
  s.layers = 3;
  s.windows = {6};
  return s;
}
inline eigen::Shape phi3_shape() {
  eigen::Shape s;
  s.head_size = 16;
  s.fused_matrices = true;
  s.rotary_share = 0.75;
  s.windows = {9};
  return s;
}
/// Gemma's norms, embeddings and gate.
inline eigen::Shape gemma_shape() {
  eigen::Shape s;
  s.kv_heads = 1;
  s.head_size = 16;
  s.tied_head = true;
  s.norm_offset = 1;
  s.embedding_scale = static_cast<double>(std::sqrt(32.0f));
  s.activation = eigen::Activation::gelu_tanh;
  s.norm_epsilon = 1e-6;
  return s;
}
inline eigen::Shape gemma2_shape() {
  eigen::Shape s = gemma_shape();
  s.layers = 4;
  s.post_norms = true;
  s.query_scale = 0.4;
  s.softcap = 2.5;
  s.logit_softcap = 1.5;
  s.windows = {5, 0};
  return s;
}
inline eigen::Shape gemma3_shape() {
  eigen::Shape s = gemma_shape();
  s.layers = 4;
  s.post_norms = s.qk_norm = true;
  s.query_scale = 0.2;
  s.windows = {4, 4, 0};
  s.rope_theta = 1000000.0;
  s.window_rope_theta = 100.0;
  return s;
}
inline eigen::Shape smollm3_shape() {
  eigen::Shape s;
  s.layers = 3;
  s.tied_head = true;
  s.turn_interval = 2;
  s.rope_theta = 2000000.0;
  return s;
}
inline eigen::Shape granite_shape() {
  eigen::Shape s;
  s.embedding_scale = 1.5;
  s.query_scale = 0.25;
  s.residual_scale = 0.5;
  s.logit_divisor = 2;
  s.tied_head = true;
  return s;
}
/// All of them.
inline std::vector<eigen::Shape> all_shapes() {
  return {llama_shape(), qwen2_shape(),  qwen3_shape(),  mistral_shape(), phi3_shape(),
          gemma_shape(), gemma2_shape(), gemma3_shape(), smollm3_shape(), granite_shape()};
}

}  // namespace anabranch::test
