// The one table of architectures: their names, their switches, and what transformers takes where a key is absent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <anabranch/hf/config.hpp>

#include "json_file.hpp"

namespace anabranch::hf::impl {

/// Which projections of attention have a bias.
enum class BiasRule : std::uint8_t {
  none,    ///< none: transformers would ignore `attention_bias`, so it is refused
  by_key,  ///< q, k, v and o where `attention_bias` says so
  qkv,     ///< q, k and v
};

/// Which layers have a sliding window.
enum class WindowRule : std::uint8_t {
  none,
  all,       ///< all, where `sliding_window` is a number
  from,      ///< those from `max_window_layers` on, or those of `layer_types`, where `use_sliding_window` says so
  pattern,   ///< all but every n-th, or those of `layer_types`
  unturned,  ///< those whose heads do not turn, or those of `layer_types`, where `use_sliding_window` says so
};

struct ArchitectureSpec {
  Architecture architecture = Architecture::llama;
  const char* class_name = "";
  const char* model_type = "";

  // Taken, as transformers does, where a key is absent.
  // 0: the key must be there.
  std::int32_t vocabulary = 0, hidden = 0, ffn = 0, n_layers = 0, n_heads = 0;
  Position max_positions = 2048;
  std::int32_t n_kv_heads = 0;  ///< 0: as many as query heads
  std::int32_t head_dim = 0;    ///< 0: hidden / query heads
  double rms_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tied_embeddings = false;
  Activation activation = Activation::silu;
  std::int32_t window = 0;                           ///< 0: none
  std::int32_t window_period = 0;                    ///< of WindowRule::pattern
  std::optional<double> query_pre_attn_scalar = {};  ///< no value: there is no such key
  std::optional<double> score_softcap = {};          ///< 0: none; no value: the key is refused
  std::optional<double> logit_softcap = {};          ///< likewise
  std::optional<Position> original_positions = {};   ///< counts before the rope settings' own
  std::optional<double> window_rope_theta = {};      ///< rope settings are by kind of layer; no value: they are not

  // The switches.
  const char* activation_key = "hidden_act";
  BiasRule bias = BiasRule::by_key;
  WindowRule windows = WindowRule::none;
  bool whole_heads = false;  ///< hidden must be a multiple of the query heads, whatever head_dim is
  bool mlp_bias = false;     ///< `mlp_bias` counts
  bool qk_norm = false;
  bool post_norms = false;
  bool fused_matrices = false;
  bool partial_rotary = false;  ///< `partial_rotary_factor` counts
  bool gemma = false;           ///< norms multiply by 1 + what is stored, embeddings are times sqrt(hidden)
  bool multipliers = false;     ///< `embedding_multiplier` and the like count
  bool unturned = false;        ///< `no_rope_layers` and `no_rope_layer_interval` count
};

/// All that can be read.
std::span<const ArchitectureSpec> architectures() noexcept;

/// The one that a configuration names: `architectures` has the class with its output head, `model_type` is all that a
/// bare configuration has. Throws bad_file, or unsupported, which says what is supported.
const ArchitectureSpec& find_architecture(const JsonObject& config);

/// Where a configuration is one of a model of pictures and text whose text part can be run: that part.
std::optional<JsonObject> text_part(const JsonObject& config);

}  // namespace anabranch::hf::impl
