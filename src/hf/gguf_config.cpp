#include "gguf_config.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>
#include <string>
#include <utility>

#include <anabranch/error.hpp>
#include <anabranch/hf/layer_tensors.hpp>

#include "config_reader.hpp"
#include "gguf_tokenizer.hpp"
#include "gguf_weights.hpp"

namespace anabranch::hf::impl {
namespace {

/// Settings of an architecture that change nothing here.
constexpr std::string_view kHarmlessSettings[] = {"tensor_data_layout", "rope.scaling.finetuned",
                                                  "use_parallel_residual"};
constexpr std::string_view kRopeFactors = "rope_freqs.weight", kLongFactors = "rope_factors_long.weight",
                           kShortFactors = "rope_factors_short.weight";
/// Llama 3's published settings; the factors of a file are those that its `factor` gives with them.
constexpr double kLowFreqFactor = 1.0, kHighFreqFactor = 4.0;
constexpr Position kOriginalPositions = 8192;
/// Tensors that a layer of any architecture has at least.
constexpr std::size_t kLeastTensors = 6;

class ConfigBuilder {
 public:
  explicit ConfigBuilder(const std::vector<GgufFile>& files)
      : files_(files), file_(files.front()), architecture_(gguf_architecture(file_)), name_(architecture_.name) {}

  Json build() {
    out_["architectures"] = Json::array({architecture_.class_name});
    add_sizes();
    add_heads();
    add_windows();
    add_softcaps();
    add_rope();
    add_biases();
    add_tokens();
    out_["tie_word_embeddings"] = find_tensor("output.weight") == nullptr;
    refuse_others();
    return std::move(out_);
  }

 private:
  // ---- metadata below the architecture's name

  std::string key(std::string_view below) {
    used_.insert(std::string(below));
    return name_ + "." + std::string(below);
  }
  std::optional<double> number(std::string_view below) { return file_.number(key(below)); }
  double number_or(std::string_view below, double otherwise) { return number(below).value_or(otherwise); }

  /// One number, or one for each layer, which are all the same.
  std::optional<std::int32_t> integer(std::string_view below) {
    const std::string whole = key(below);
    const auto found = file_.metadata().find(whole);
    if (found == file_.metadata().end() || !found->second.is_array) return file_.integer(whole);
    const std::vector<std::int32_t> all = *file_.integers(whole);
    if (all.empty() || all.front() < 0) file_.wrong(whole, "integers from 0 on", shown(found->second));
    for (const std::int32_t one : all)
      if (one != all.front())
        file_.unsupported(whole, "layers that differ (" + std::to_string(all.front()) + ", " + std::to_string(one) +
                                     ") are not supported");
    return all.front();
  }
  std::int32_t required(std::string_view below) {
    const auto value = integer(below);
    if (!value || *value < 1)
      file_.wrong(key(below), "an integer from 1 on", value ? std::to_string(*value) : "nothing");
    return *value;
  }

  const GgufTensor* find_tensor(std::string_view name) const {
    for (const GgufFile& file : files_)
      for (const GgufTensor& tensor : file.tensors())
        if (tensor.name == name) return &tensor;
    return nullptr;
  }

  void refuse_others() {
    for (const auto& [whole, value] : file_.metadata()) {
      if (!whole.starts_with(name_ + ".")) continue;
      const std::string below(whole.substr(name_.size() + 1));
      if (used_.contains(below) ||
          std::find(std::begin(kHarmlessSettings), std::end(kHarmlessSettings), below) != std::end(kHarmlessSettings))
        continue;
      file_.unsupported(whole, shown(value) + " is not supported: no such setting of \"" + name_ + "\" is known here");
    }
    if (const auto experts = file_.integer(name_ + ".expert_count"); experts.value_or(0) > 0)
      file_.unsupported(name_ + ".expert_count",
                        std::to_string(*experts) + " is not supported: mixtures of experts cannot be run");
  }

  // ---- parts of the configuration

  void add_sizes() {
    const GgufTensor* embedding = find_tensor("token_embd.weight");
    if (embedding == nullptr || embedding->shape.size() != 2)
      fail(Status::bad_file, file_.where(), ": tensor \"token_embd.weight\": expected a matrix, found ",
           embedding == nullptr ? "no such tensor" : shape_text(embedding->shape));
    const std::int64_t vocabulary = embedding->shape[0];
    if (const auto said = integer("vocab_size"); said && *said != vocabulary)
      file_.wrong(key("vocab_size"), std::to_string(vocabulary) + ", the rows of \"token_embd.weight\"",
                  std::to_string(*said));
    constexpr const char* kTokens = "tokenizer.ggml.tokens";
    if (const auto tokens = file_.metadata().find(kTokens);
        tokens != file_.metadata().end() && tokens->second.n > static_cast<std::uint64_t>(vocabulary))
      file_.wrong(kTokens, "at most " + std::to_string(vocabulary) + " tokens, the rows of \"token_embd.weight\"",
                  shown(tokens->second));
    std::size_t n_tensors = 0;
    for (const GgufFile& file : files_) n_tensors += file.tensors().size();
    layers_ = required("block_count");
    if (static_cast<std::size_t>(layers_) > n_tensors / kLeastTensors)
      file_.wrong(key("block_count"),
                  "at most a layer for each " + std::to_string(kLeastTensors) + " of the " + std::to_string(n_tensors) +
                      " tensors",
                  std::to_string(layers_));
    hidden_ = required("embedding_length");
    out_["vocab_size"] = vocabulary;
    out_["num_hidden_layers"] = layers_;
    out_["hidden_size"] = hidden_;
    out_["intermediate_size"] = required("feed_forward_length");
    out_["max_position_embeddings"] = positions_ = required("context_length");
    const auto eps = number("attention.layer_norm_rms_epsilon");
    if (!eps) file_.wrong(key("attention.layer_norm_rms_epsilon"), "a number", "nothing");
    out_["rms_norm_eps"] = *eps;
    if (!file_.flag(key("attention.causal")).value_or(true))
      file_.unsupported(key("attention.causal"), "false is not supported");
    for (const char* none : {"expert_count", "expert_used_count"}) integer(none);
  }

  void add_heads() {
    heads_ = required("attention.head_count");
    const std::int32_t kv_heads = integer("attention.head_count_kv").value_or(heads_);
    head_dim_ = integer("attention.key_length").value_or(hidden_ / heads_);
    if (const auto values = integer("attention.value_length"); values && *values != head_dim_)
      file_.unsupported(
          key("attention.value_length"),
          std::to_string(*values) + " is not supported, only the length of keys, " + std::to_string(head_dim_));
    out_["num_attention_heads"] = heads_;
    out_["num_key_value_heads"] = kv_heads;
    out_["head_dim"] = head_dim_;
    // Gemma's scores are divided by the root of its head size, but for the largest models' of hidden size / heads.
    if (name_ == "gemma2" || name_ == "gemma3")
      out_["query_pre_attn_scalar"] = layers_ == (name_ == "gemma2" ? 46 : 62) ? hidden_ / heads_ : head_dim_;
  }

  void add_windows() {
    const std::int32_t window = integer("attention.sliding_window").value_or(name_ == "gemma2" ? 4096 : 0);
    const std::string whole = key("attention.sliding_window");
    if (name_ == "gemma2" || name_ == "gemma3") return add_window_layers(window);
    if (file_.has(key("attention.sliding_window_pattern")))
      file_.unsupported(key("attention.sliding_window_pattern"), "it is not supported for \"" + name_ + "\"");
    if (name_ == "phi3") {
      out_["sliding_window"] = window > 0 ? Json(window) : Json();
    } else if (window > 0 && name_ == "llama") {
      out_["architectures"] = Json::array({"MistralForCausalLM"});
      out_["sliding_window"] = window;
    } else if (window > 0) {
      file_.unsupported(whole, std::to_string(window) + " is not supported for \"" + name_ + "\", only 0");
    }
  }

  /// All layers but every second or sixth have a window, unless a flag for each layer, or another period, is there.
  void add_window_layers(std::int32_t window) {
    const std::string whole = key("attention.sliding_window_pattern");
    const auto pattern = file_.metadata().find(whole);
    Json types = Json::array();
    if (pattern != file_.metadata().end() && pattern->second.is_array) {
      const std::vector<std::int32_t> flags = *file_.integers(whole);
      if (std::cmp_less(flags.size(), layers_))
        file_.wrong(whole, "a flag for each of " + std::to_string(layers_) + " layers", shown(pattern->second));
      for (std::int32_t l = 0; l < layers_; ++l)
        types.push_back(flags[static_cast<std::size_t>(l)] != 0 ? "sliding_attention" : "full_attention");
    } else {
      const std::int32_t period = file_.integer(whole).value_or(name_ == "gemma2" ? 2 : 6);
      for (std::int32_t l = 0; l < layers_; ++l)
        types.push_back(window > 0 && (period == 0 || (l + 1) % period != 0) ? "sliding_attention" : "full_attention");
    }
    out_["layer_types"] = std::move(types);
    out_["sliding_window"] = window > 0 ? Json(window) : Json();
  }

  void add_softcaps() {
    if (name_ != "gemma2" && name_ != "gemma3") return;
    for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      if (name_ == "gemma3" && std::string_view(cap) == "attn_logit_softcapping") continue;
      if (const auto value = number(cap)) out_[cap] = *value != 0 ? Json(*value) : Json();
    }
  }

  void add_biases() {
    const auto has = [&](const char* part) { return find_tensor(std::string("blk.0.") + part + ".bias") != nullptr; };
    if (has("attn_output") || (name_ != "qwen2" && (has("attn_q") || has("attn_qkv")))) out_["attention_bias"] = true;
    if (has("ffn_down")) out_["mlp_bias"] = true;
  }

  // ---- rotary embedding

  void add_rope() {
    if (const auto width = integer("rope.dimension_count"); width && *width != head_dim_)
      out_["partial_rotary_factor"] = static_cast<double>(*width) / head_dim_;
    const double theta = number_or("rope.freq_base", name_ == "gemma3" ? 1000000.0 : 10000.0);
    if (!(theta > 0)) file_.wrong(key("rope.freq_base"), "a number above 0", std::to_string(theta));
    Json rope = scaling();
    rope["rope_theta"] = theta;
    if (name_ != "gemma3") {
      if (const auto windows = number("rope.freq_base_swa"); windows && *windows != theta)
        file_.unsupported(key("rope.freq_base_swa"), std::to_string(*windows) + " is not supported beside another '" +
                                                         key("rope.freq_base") + "'");
      out_["rope_parameters"] = std::move(rope);
      return;
    }
    const Json windows{{"rope_type", "default"}, {"rope_theta", number_or("rope.freq_base_swa", 10000.0)}};
    out_["rope_parameters"] = {{"full_attention", std::move(rope)}, {"sliding_attention", windows}};
  }

  Json scaling() {
    std::string type(file_.text(key("rope.scaling.type")).value_or("none"));
    const double factor = number_or("rope.scaling.factor", number_or("rope.scale_linear", 1.0));
    const auto original = integer("rope.scaling.original_context_length");
    const std::optional<double> attention = number("rope.scaling.attn_factor");
    const bool long_factors = find_tensor(kLongFactors) != nullptr || find_tensor(kShortFactors) != nullptr;
    if (find_tensor(kRopeFactors) != nullptr) {
      if (type != "none" || long_factors)
        file_.unsupported(key("rope.scaling.type"), "\"" + type + "\" is not supported beside \"rope_freqs.weight\"");
      return llama3();
    }
    if (long_factors) return longrope(original.value_or(positions_), attention);
    if (type == "none" && factor != 1.0) type = "linear";
    if (type == "none") return Json{{"rope_type", "default"}};
    if (type != "linear" && type != "yarn")
      file_.unsupported(key("rope.scaling.type"), "\"" + type +
                                                      "\" is not supported here; supported are \"none\", "
                                                      "\"linear\", \"yarn\" and tensors of factors");
    Json rope{{"rope_type", type}, {"factor", factor}};
    if (type == "linear") return rope;
    if (original) rope["original_max_position_embeddings"] = *original;
    add_yarn(rope, attention);
    return rope;
  }

  void add_yarn(Json& rope, std::optional<double> attention) {
    for (const auto& [below, neutral] :
         {std::pair{"rope.scaling.yarn_ext_factor", 1.0}, {"rope.scaling.yarn_attn_factor", 1.0}})
      if (const auto value = number(below); value && *value != neutral)
        file_.unsupported(key(below), std::to_string(*value) + " is not supported, only " + std::to_string(neutral));
    if (attention.value_or(1.0) != 1.0)
      file_.unsupported(key("rope.scaling.attn_factor"), std::to_string(*attention) + " is not supported for yarn");
    if (const auto fast = number("rope.scaling.yarn_beta_fast")) rope["beta_fast"] = *fast;
    if (const auto slow = number("rope.scaling.yarn_beta_slow")) rope["beta_slow"] = *slow;
  }

  std::vector<double> factors(std::string_view name) const {
    const GgufTensor* tensor = find_tensor(name);
    if (tensor == nullptr || tensor->shape.size() != 1 || std::string_view(tensor->type->name) != "F32")
      fail(Status::bad_file, file_.where(), ": tensor \"", name, "\": expected a vector of F32, found ",
           tensor == nullptr ? "no such tensor" : tensor->type->name + (" " + shape_text(tensor->shape)));
    std::vector<double> values;
    for (const float value : read_values(*tensor)) {
      if (!std::isfinite(value) || value <= 0)
        fail(Status::bad_file, file_.where(), ": tensor \"", name, "\": expected finite numbers above 0, found ",
             static_cast<double>(value));
      values.push_back(decimal(value));
    }
    return values;
  }

  /// The settings that the factors were computed from: the largest of them is `factor`.
  Json llama3() {
    const std::vector<double> stored = factors(kRopeFactors);
    RopeConfig rope;
    rope.theta = number_or("rope.freq_base", rope.theta);
    const std::vector<double> plain = rope_inverse_frequencies(rope, head_dim_);
    rope.scaling = RopeScaling::llama3;
    rope.factor = *std::max_element(stored.begin(), stored.end());
    rope.low_freq_factor = kLowFreqFactor;
    rope.high_freq_factor = kHighFreqFactor;
    rope.original_max_positions = kOriginalPositions;
    const std::vector<double> stretched = rope_inverse_frequencies(rope, head_dim_);
    bool equal = stored.size() == plain.size();
    for (std::size_t i = 0; equal && i < stored.size(); ++i)
      equal = std::abs(plain[i] / stretched[i] / stored[i] - 1) < 1e-4;
    if (!equal)
      fail(Status::unsupported, file_.where(), ": tensor \"", kRopeFactors,
           "\": factors other than those of Llama 3 ('low_freq_factor' 1, 'high_freq_factor' 4, "
           "'original_max_position_embeddings' 8192, for any 'factor') are not supported");
    return Json{{"rope_type", "llama3"},
                {"factor", rope.factor},
                {"low_freq_factor", rope.low_freq_factor},
                {"high_freq_factor", rope.high_freq_factor},
                {"original_max_position_embeddings", rope.original_max_positions}};
  }

  Json longrope(std::int32_t original, std::optional<double> attention) {
    Json rope{{"rope_type", "longrope"},
              {"short_factor", factors(kShortFactors)},
              {"long_factor", factors(kLongFactors)},
              {"original_max_position_embeddings", original}};
    out_["original_max_position_embeddings"] = original;
    const double scale = static_cast<double>(positions_) / original;
    const double usual = scale > 1.0 && original > 1 ? std::sqrt(1 + std::log(scale) / std::log(original)) : 1.0;
    if (attention && std::abs(*attention / usual - 1) > 1e-6) rope["attention_factor"] = *attention;
    return rope;
  }

  // ---- tokens

  void add_tokens() {
    const auto id = [&](const char* what, std::optional<std::int32_t> otherwise) {
      const auto found = file_.integer(std::string("tokenizer.ggml.") + what + "_token_id");
      return found ? found : otherwise;
    };
    const bool by_scores = file_.text("tokenizer.ggml.model").value_or("") == "llama";
    const auto usual = [&](std::int32_t token) { return by_scores ? std::optional(token) : std::nullopt; };
    if (const auto bos = id("bos", usual(1))) out_["bos_token_id"] = *bos;
    Json ends = Json::array();
    for (const auto& end : {id("eos", usual(2)), id("eot", {}), id("eom", {})})
      if (end) ends.push_back(*end);
    if (!ends.empty()) out_["eos_token_id"] = std::move(ends);
  }

  const std::vector<GgufFile>& files_;
  const GgufFile& file_;
  const GgufArchitecture& architecture_;
  std::string name_;
  std::int32_t layers_ = 0, hidden_ = 0, heads_ = 0, head_dim_ = 0, positions_ = 0;
  std::set<std::string> used_;
  Json out_ = Json::object();
};

/// Refuses tensors that the configuration does not use.
void require_used(const std::vector<GgufFile>& files, const ModelConfig& config) {
  const auto shapes = tensor_shapes(config);
  for (const auto& [name, tensor] : gguf_tensors(files))
    if (!shapes.contains(name))
      fail(Status::unsupported, tensor.file.string(), ": tensor for \"", name, "\": a ",
           architecture_name(config.architecture), " of ", config.n_layers, " layers has no such tensor");
}

}  // namespace

Json gguf_config(const std::vector<GgufFile>& files) { return ConfigBuilder(files).build(); }

ModelConfig load_gguf_config(const std::filesystem::path& file) {
  const std::vector<GgufFile> files = open_gguf(file);
  const Json json = gguf_config(files);
  ModelConfig config = read_config(JsonObject(json, file.string() + ": its metadata as config.json"));
  require_used(files, config);
  return config;
}

}  // namespace anabranch::hf::impl
