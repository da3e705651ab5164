// Writes GGUF files for tests, right ones and wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "hf/files.hpp"

namespace test {

/// Metadata and tensors in the order in which they are added. Types are numbers as the file has them.
class GgufWriter {
 public:
  template <class T>
  static std::string raw(const T& value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string raw_text(std::string_view text) { return raw<std::uint64_t>(text.size()) + std::string(text); }

  /// Any type, with the bytes of its value.
  GgufWriter& value(std::string_view key, std::uint32_t type, const std::string& bytes) {
    metadata_ += raw_text(key) + raw(type) + bytes;
    ++n_metadata_;
    return *this;
  }
  GgufWriter& integer(std::string_view key, std::uint32_t n) { return value(key, 4, raw(n)); }
  GgufWriter& number(std::string_view key, float n) { return value(key, 6, raw(n)); }
  GgufWriter& flag(std::string_view key, bool on) { return value(key, 7, std::string(1, on ? '\1' : '\0')); }
  GgufWriter& text(std::string_view key, std::string_view content) { return value(key, 8, raw_text(content)); }
  GgufWriter& texts(std::string_view key, const std::vector<std::string>& all) {
    std::string bytes = raw<std::uint32_t>(8) + raw<std::uint64_t>(all.size());
    for (const std::string& one : all) bytes += raw_text(one);
    return value(key, 9, bytes);
  }
  template <class T>
  GgufWriter& list(std::string_view key, std::uint32_t type, const std::vector<T>& all) {
    std::string bytes = raw(type) + raw<std::uint64_t>(all.size());
    for (const T& one : all) bytes += raw(one);
    return value(key, 9, bytes);
  }
  GgufWriter& integers(std::string_view key, const std::vector<std::int32_t>& all) { return list(key, 5, all); }
  GgufWriter& numbers(std::string_view key, const std::vector<float>& all) { return list(key, 6, all); }

  /// `sizes` outermost first, as a folder has them.
  GgufWriter& tensor(std::string_view name, const std::vector<std::uint64_t>& sizes, std::uint32_t type,
                     const std::string& bytes) {
    while (bytes_.size() % 32 != 0) bytes_ += '\0';
    entries_ += raw_text(name) + raw(static_cast<std::uint32_t>(sizes.size()));
    for (std::size_t i = sizes.size(); i-- > 0;) entries_ += raw(sizes[i]);
    entries_ += raw(type) + raw<std::uint64_t>(bytes_.size());
    bytes_ += bytes;
    ++n_tensors_;
    return *this;
  }
  GgufWriter& floats(std::string_view name, const std::vector<std::uint64_t>& sizes, const std::vector<float>& values) {
    std::string bytes;
    for (const float one : values) bytes += raw(one);
    return tensor(name, sizes, 0, bytes);
  }
  /// Zeros.
  GgufWriter& floats(std::string_view name, const std::vector<std::uint64_t>& sizes) {
    std::uint64_t n = 1;
    for (const std::uint64_t size : sizes) n *= size;
    return floats(name, sizes, std::vector<float>(n));
  }

  std::string header(std::uint32_t version = 3) const {
    std::string out =
        "GGUF" + raw(version) + raw<std::uint64_t>(n_tensors_) + raw<std::uint64_t>(n_metadata_) + metadata_ + entries_;
    while (out.size() % 32 != 0) out += '\0';
    return out;
  }
  std::string bytes(std::uint32_t version = 3) const { return header(version) + bytes_; }
  void write(const fs::path& file) const { test::write(file, bytes()); }

 private:
  std::string metadata_, entries_, bytes_;
  std::uint64_t n_metadata_ = 0, n_tensors_ = 0;
};

/// The metadata and tensors of a tiny model: hidden size 8, 2 layers, 2 heads over 1, feed-forward of 12, 5 tokens.
inline GgufWriter tiny_gguf(const std::string& architecture) {
  GgufWriter out;
  const std::string a = architecture + ".";
  out.text("general.architecture", architecture)
      .integer(a + "context_length", 64)
      .integer(a + "embedding_length", 8)
      .integer(a + "block_count", 2)
      .integer(a + "feed_forward_length", 12)
      .integer(a + "attention.head_count", 2)
      .integer(a + "attention.head_count_kv", 1)
      .number(a + "attention.layer_norm_rms_epsilon", 1e-5f);
  return out;
}

/// Adds the tensors of such a model, zeros, with heads of `head_dim`.
inline void add_tiny_tensors(GgufWriter& out, const std::string& architecture, std::uint64_t head_dim = 4) {
  const bool gemma = architecture == "gemma2" || architecture == "gemma3", fused = architecture == "phi3";
  out.floats("token_embd.weight", {5, 8}).floats("output_norm.weight", {8});
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    out.floats(layer + "attn_norm.weight", {8}).floats(layer + "ffn_norm.weight", {8});
    if (fused) {
      out.floats(layer + "attn_qkv.weight", {4 * head_dim, 8}).floats(layer + "ffn_up.weight", {24, 8});
    } else {
      out.floats(layer + "attn_q.weight", {2 * head_dim, 8}).floats(layer + "attn_k.weight", {head_dim, 8});
      out.floats(layer + "attn_v.weight", {head_dim, 8});
      out.floats(layer + "ffn_gate.weight", {12, 8}).floats(layer + "ffn_up.weight", {12, 8});
    }
    out.floats(layer + "attn_output.weight", {8, 2 * head_dim}).floats(layer + "ffn_down.weight", {8, 12});
    if (architecture == "qwen2")
      out.floats(layer + "attn_q.bias", {2 * head_dim})
          .floats(layer + "attn_k.bias", {head_dim})
          .floats(layer + "attn_v.bias", {head_dim});
    if (architecture == "qwen3" || architecture == "gemma3")
      out.floats(layer + "attn_q_norm.weight", {head_dim}).floats(layer + "attn_k_norm.weight", {head_dim});
    if (gemma) out.floats(layer + "post_attention_norm.weight", {8}).floats(layer + "post_ffw_norm.weight", {8});
  }
}

}  // namespace test
