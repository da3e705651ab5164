#include <anabranch/hf/config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <anabranch/hf/gguf.hpp>

#include "adapter_names.hpp"
#include "architectures.hpp"
#include "config_reader.hpp"
#include "gguf_config.hpp"
#include "quantisation.hpp"
#include "rope_reader.hpp"
#include "windows_reader.hpp"

namespace anabranch::hf {
namespace {

using impl::Json;
using impl::JsonObject;
using impl::shown;

void read_end_tokens(const JsonObject& object, ModelConfig& model) {
  const auto read = [&](const char* key, const Json& value) {
    const auto id = impl::token_id(value);
    if (!id || *id >= model.vocabulary)
      object.wrong(key, "token ids from 0 to " + std::to_string(model.vocabulary - 1), value);
    return *id;
  };
  if (const Json* bos = object.find("bos_token_id")) {
    // a list of alternatives: the first one starts a text
    if (bos->is_array() && bos->empty()) object.wrong("bos_token_id", "a token id", *bos);
    model.bos = read("bos_token_id", bos->is_array() ? bos->front() : *bos);
  }
  if (const Json* eos = object.find("eos_token_id")) {
    std::vector<TokenId> ids;
    if (eos->is_array()) {
      for (const Json& value : *eos) ids.push_back(read("eos_token_id", value));
    } else {
      ids.push_back(read("eos_token_id", *eos));
    }
    add_tokens(model.eos, ids);
  }
}

std::optional<Dtype> read_dtype(const JsonObject& config) {
  const char* key = config.find("dtype") ? "dtype" : "torch_dtype";
  const auto name = config.optional_text(key);
  if (!name || *name == "auto") return std::nullopt;
  if (*name == "float32") return Dtype::f32;
  if (*name == "float16") return Dtype::f16;
  if (*name == "bfloat16") return Dtype::bf16;
  config.unsupported(key, "\"" + *name + "\" is not supported; supported are float32, float16 and bfloat16");
}

/// Keys that transformers obeys for every class, also where the class does not name them.
constexpr std::array<const char*, 3> kOfEveryClass{"per_layer_config", "attention_chunk_size", "kv_sharing_modes"};
constexpr std::array<const char*, 4> kMultipliers{"embedding_multiplier", "attention_multiplier", "residual_multiplier",
                                                  "logits_scaling"};

/// Reads a configuration of one architecture.
class ModelReader {
 public:
  explicit ModelReader(const JsonObject& config) : config_(config), spec_(impl::find_architecture(config)) {}

  ModelConfig read() {
    model_.architecture = spec_.architecture;
    refuse_other_features();
    read_activation();
    model_.vocabulary = size("vocab_size", spec_.vocabulary);
    model_.hidden = size("hidden_size", spec_.hidden);
    model_.ffn = size("intermediate_size", spec_.ffn);
    model_.n_layers = size("num_hidden_layers", spec_.n_layers);
    read_heads();
    require_limits();
    read_unturned_layers();
    model_.windows = impl::read_windows(config_, spec_, model_);
    model_.rms_eps = config_.positive_or("rms_norm_eps", spec_.rms_eps);
    impl::read_rope(config_, spec_, model_);
    read_scores();
    read_switches();
    model_.dtype = read_dtype(config_);
    model_.quantisation = impl::read_quantisation(config_);
    read_end_tokens(config_, model_);
    return std::move(model_);
  }

 private:
  std::int32_t size(const char* key, std::int32_t otherwise) const {
    return otherwise > 0 ? config_.integer_or(key, 1, otherwise) : config_.integer(key, 1);
  }

  /// Settings that would change the result and are not supported.
  void refuse_other_features() const {
    if (!spec_.mlp_bias && config_.flag_or("mlp_bias", false))
      config_.unsupported("mlp_bias", std::string("true is not supported for ") + spec_.class_name);
    if (spec_.bias == impl::BiasRule::none && config_.flag_or("attention_bias", false))
      config_.unsupported("attention_bias", std::string("true is not supported for ") + spec_.class_name);
    if (config_.flag_or("use_bidirectional_attention", false))
      config_.unsupported("use_bidirectional_attention", "true is not supported, only false");
    if (!config_.flag_or("is_causal", true)) config_.unsupported("is_causal", "false is not supported, only true");
    for (const char* key : kMultipliers)
      if (const Json* value = spec_.multipliers ? nullptr : config_.find(key); value != nullptr && *value != 1)
        config_.unsupported(key, shown(*value) + " is not supported for " + spec_.class_name + ", only 1");
    for (const char* key : kOfEveryClass)
      if (const Json* value = config_.find(key); value != nullptr && !value->empty())
        config_.unsupported(key, shown(*value) + " is not supported");
    if (const Json* layers = spec_.unturned ? nullptr : config_.find("no_rope_layers"))
      config_.unsupported("no_rope_layers", shown(*layers) + " is not supported for " + spec_.class_name);
  }

  void read_activation() {
    model_.activation = activation(spec_.activation_key, spec_.activation);
    if (spec_.architecture != Architecture::gemma) return;
    // Its first files say "gelu" and mean the formula with tanh, as `hidden_activation` says where it is there.
    if (activation("hidden_activation", model_.activation) != model_.activation)
      config_.wrong("hidden_activation", "what 'hidden_act' says", *config_.find("hidden_activation"));
  }
  Activation activation(const char* key, Activation otherwise) const {
    const std::optional<std::string> name = config_.optional_text(key);
    if (!name) return otherwise;
    if (*name == "silu" || *name == "swish") return Activation::silu;
    if (*name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
    if (*name == "gelu" && spec_.architecture == Architecture::gemma) return Activation::gelu_tanh;
    config_.unsupported(key, "\"" + *name + "\" is not supported; supported are \"silu\" and \"gelu_pytorch_tanh\"");
  }

  void read_heads() {
    model_.n_heads = size("num_attention_heads", spec_.n_heads);
    // transformers: an absent key means the class's number, null means as many as query heads.
    const bool of_class = spec_.n_kv_heads > 0 && !config_.json().contains("num_key_value_heads");
    model_.n_kv_heads = config_.integer_or("num_key_value_heads", 1, of_class ? spec_.n_kv_heads : model_.n_heads);
    if (model_.n_heads % model_.n_kv_heads != 0)
      fail(Status::bad_file, config_.where(), ": 'num_key_value_heads': expected a divisor of num_attention_heads (",
           model_.n_heads, "), found ", model_.n_kv_heads);
    const bool own_head_dim = config_.find("head_dim") != nullptr || spec_.head_dim > 0;
    if ((spec_.whole_heads || !own_head_dim) && model_.hidden % model_.n_heads != 0)
      fail(Status::bad_file, config_.where(), ": 'hidden_size': expected a multiple of num_attention_heads (",
           model_.n_heads, "), found ", model_.hidden);
    const bool absent = spec_.head_dim > 0 && !config_.json().contains("head_dim");
    model_.head_dim = config_.integer_or("head_dim", 1, absent ? spec_.head_dim : model_.hidden / model_.n_heads);
    if (model_.head_dim < 1 || model_.head_dim % 2 != 0)
      fail(Status::bad_file, config_.where(), ": 'head_dim': expected an even number for the rotary pairs, found ",
           model_.head_dim);
    if (static_cast<std::int64_t>(model_.n_heads) * model_.head_dim > kUnlimited)
      fail(Status::bad_file, config_.where(), ": 'num_attention_heads' * 'head_dim': expected at most ", kUnlimited,
           ", found ", model_.n_heads, " * ", model_.head_dim);
  }

  /// Sizes that tables are made of before any tensor is looked at: a file of some bytes must not ask for gigabytes.
  void require_limits() const {
    constexpr std::int32_t kMostLayers = 4096, kWidestHead = 65536;
    if (model_.n_layers > kMostLayers)
      fail(Status::unsupported, config_.where(), ": 'num_hidden_layers': expected at most ", kMostLayers, ", found ",
           model_.n_layers);
    if (model_.head_dim > kWidestHead)
      fail(Status::unsupported, config_.where(), ": 'head_dim': expected at most ", kWidestHead, ", found ",
           model_.head_dim);
    if (spec_.fused_matrices && model_.ffn > kUnlimited / 2)
      fail(Status::bad_file, config_.where(), ": 'intermediate_size': expected at most ", kUnlimited / 2, ", found ",
           model_.ffn);
  }

  /// Ones, and a zero for each layer whose heads do not turn; without it each n-th is one.
  void read_unturned_layers() {
    if (!spec_.unturned) return;
    const std::int32_t interval = config_.integer_or("no_rope_layer_interval", 1, 4);
    const Json* turned = config_.find("no_rope_layers");
    const std::string expected = "a 1 or a 0 for each of " + std::to_string(model_.n_layers) + " layers";
    if (turned != nullptr && (!turned->is_array() || std::cmp_less(turned->size(), model_.n_layers)))
      config_.wrong("no_rope_layers", expected, *turned);
    for (std::int32_t l = 0; l < model_.n_layers; ++l) {
      const Json turns =
          turned != nullptr ? (*turned)[static_cast<std::size_t>(l)] : Json((l + 1) % interval != 0 ? 1 : 0);
      if (turns != 0 && turns != 1) config_.wrong("no_rope_layers", expected, turns);
      model_.unturned.push_back(turns == 0);
    }
  }

  void read_scores() {
    if (spec_.query_pre_attn_scalar)
      model_.query_scale = 1 / std::sqrt(config_.positive_or("query_pre_attn_scalar", *spec_.query_pre_attn_scalar));
    model_.score_softcap = softcap("attn_logit_softcapping", spec_.score_softcap);
    model_.logit_softcap = softcap("final_logit_softcapping", spec_.logit_softcap);
    if (!spec_.multipliers) return;
    const auto [embeddings, scores, residual, logits] = kMultipliers;
    model_.embedding_scale = static_cast<float>(multiplier(embeddings));
    model_.query_scale = multiplier(scores);
    model_.residual_scale = static_cast<float>(multiplier(residual));
    model_.logit_divisor = static_cast<float>(multiplier(logits));
  }
  double multiplier(const char* key) const {
    constexpr double kLeast = 1e-6, kMost = 1e6;
    const double value = config_.positive_or(key, 1.0);
    if (value < kLeast || value > kMost) config_.wrong(key, "a number from 1e-6 to 1e6", *config_.find(key));
    return value;
  }
  /// Null means none; transformers ignores the key where `otherwise` has no value.
  double softcap(const char* key, std::optional<double> otherwise) const {
    const Json* value = config_.find(key);
    if (!value) return otherwise && !config_.json().contains(key) ? *otherwise : 0.0;
    if (!otherwise)
      config_.unsupported(key, shown(*value) + " is not supported for " + spec_.class_name + ", only null");
    constexpr double kLeast = 0.001;
    if (const double cap = config_.positive(key); cap >= kLeast) return cap;
    config_.wrong(key, "null, or a number of at least 0.001", *value);
  }

  void read_switches() {
    const bool bias = config_.flag_or("attention_bias", false);
    model_.qkv_bias = spec_.bias == impl::BiasRule::qkv || bias;
    model_.o_bias = spec_.bias == impl::BiasRule::by_key && bias;
    model_.mlp_bias = config_.flag_or("mlp_bias", false);
    model_.tied_embeddings = config_.flag_or("tie_word_embeddings", spec_.tied_embeddings);
    model_.qk_norm = spec_.qk_norm;
    model_.post_norms = spec_.post_norms;
    model_.fused_matrices = spec_.fused_matrices;
    if (!spec_.gemma) return;
    model_.norm_offset = 1.0f;
    model_.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(model_.hidden)));
  }

  const JsonObject& config_;
  const impl::ArchitectureSpec& spec_;
  ModelConfig model_;
};

/// transformers applies an adapter that lies beside the model.
void refuse_adapter_inside(const std::filesystem::path& folder) {
  const std::filesystem::path adapter = folder / impl::kAdapterConfigFile;
  std::error_code error;
  if (std::filesystem::exists(adapter, error) && std::filesystem::exists(folder / "config.json", error))
    fail(Status::unsupported, adapter.string(),
         ": an adapter inside of a model's folder is not supported; expected it in a folder of its own");
}

}  // namespace

ModelConfig impl::read_config(const JsonObject& config) {
  const std::optional<JsonObject> text = text_part(config);
  ModelConfig model = ModelReader(text ? *text : config).read();
  if (!text) return model;
  // Settings of the file as a whole stand outside of the part.
  model.text_part = true;
  model.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  if (const auto dtype = read_dtype(config)) model.dtype = dtype;
  if (auto quantisation = read_quantisation(config)) model.quantisation = std::move(quantisation);
  read_end_tokens(config, model);
  return model;
}

void impl::read_generation_config(const JsonObject& settings, ModelConfig& model) { read_end_tokens(settings, model); }

void ModelConfig::set_max_positions(Position n) {
  if (n < 1 || n > most_positions)
    fail(Status::bad_argument, "max_positions is ", n, ", must be 1 to ", most_positions, ", the model's positions");
  max_positions = n;
  for (RopeConfig* r : {&rope, window_rope ? &*window_rope : nullptr})
    if (r != nullptr) r->long_text = r->scaling == RopeScaling::longrope && n > r->original_max_positions;
}

void add_tokens(std::vector<TokenId>& tokens, std::span<const TokenId> more) {
  for (const TokenId token : more)
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
}

ModelConfig ModelConfig::load(const std::filesystem::path& folder) {
  if (is_gguf(folder)) return impl::load_gguf_config(folder);
  refuse_adapter_inside(folder);
  const std::filesystem::path file = folder / "config.json";
  const Json json = impl::parse_json(impl::read_file(file), file.string());
  ModelConfig model = impl::read_config(JsonObject(json, file.string()));
  const std::filesystem::path generation = folder / "generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(generation, error)) {
    const Json settings = impl::parse_json(impl::read_file(generation), generation.string());
    impl::read_generation_config(JsonObject(settings, generation.string()), model);
  }
  return model;
}

}  // namespace anabranch::hf
