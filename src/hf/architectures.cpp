#include "architectures.hpp"

#include <array>
#include <string_view>

namespace anabranch::hf {
namespace impl {
namespace {

constexpr std::array<ArchitectureSpec, 10> kArchitectures{{
    {.architecture = Architecture::llama,
     .class_name = "LlamaForCausalLM",
     .model_type = "llama",
     .whole_heads = true,
     .mlp_bias = true},
    {.architecture = Architecture::qwen2,
     .class_name = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .max_positions = 32768,
     .n_kv_heads = 32,
     .window = 4096,
     .bias = BiasRule::qkv,
     .windows = WindowRule::from},
    {.architecture = Architecture::qwen3,
     .class_name = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .max_positions = 32768,
     .n_kv_heads = 32,
     .head_dim = 128,
     .window = 4096,
     .windows = WindowRule::from,
     .qk_norm = true},
    {.architecture = Architecture::mistral,
     .class_name = "MistralForCausalLM",
     .model_type = "mistral",
     .max_positions = 131072,
     .n_kv_heads = 8,
     .window = 4096,
     .bias = BiasRule::none,
     .windows = WindowRule::all},
    {.architecture = Architecture::phi3,
     .class_name = "Phi3ForCausalLM",
     .model_type = "phi3",
     .max_positions = 4096,
     .rms_eps = 1e-5,
     .original_positions = 4096,
     .bias = BiasRule::none,
     .windows = WindowRule::all,
     .fused_matrices = true,
     .partial_rotary = true},
    {.architecture = Architecture::gemma,
     .class_name = "GemmaForCausalLM",
     .model_type = "gemma",
     .max_positions = 8192,
     .n_kv_heads = 16,
     .head_dim = 256,
     .tied_embeddings = true,
     .activation = Activation::gelu_tanh,
     .gemma = true},
    {.architecture = Architecture::gemma2,
     .class_name = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .max_positions = 8192,
     .n_kv_heads = 4,
     .head_dim = 256,
     .tied_embeddings = true,
     .activation = Activation::gelu_tanh,
     .window = 4096,
     .window_period = 2,
     .query_pre_attn_scalar = 256.0,
     .score_softcap = 50.0,
     .logit_softcap = 30.0,
     .activation_key = "hidden_activation",
     .windows = WindowRule::pattern,
     .whole_heads = true,
     .post_norms = true,
     .gemma = true},
    {.architecture = Architecture::gemma3,
     .class_name = "Gemma3ForCausalLM",
     .model_type = "gemma3_text",
     .vocabulary = 262208,
     .hidden = 2304,
     .ffn = 9216,
     .n_layers = 26,
     .n_heads = 8,
     .max_positions = 131072,
     .n_kv_heads = 4,
     .head_dim = 256,
     .rope_theta = 1000000.0,
     .tied_embeddings = true,
     .activation = Activation::gelu_tanh,
     .window = 4096,
     .window_period = 6,
     .query_pre_attn_scalar = 256.0,
     .logit_softcap = 0.0,
     .window_rope_theta = 10000.0,
     .activation_key = "hidden_activation",
     .windows = WindowRule::pattern,
     .whole_heads = true,
     .qk_norm = true,
     .post_norms = true,
     .gemma = true},
    {.architecture = Architecture::smollm3,
     .class_name = "SmolLM3ForCausalLM",
     .model_type = "smollm3",
     .max_positions = 32768,
     .n_kv_heads = 4,
     .rope_theta = 2000000.0,
     .tied_embeddings = true,
     .windows = WindowRule::unturned,
     .mlp_bias = true,
     .unturned = true},
    {.architecture = Architecture::granite,
     .class_name = "GraniteForCausalLM",
     .model_type = "granite",
     .mlp_bias = true,
     .multipliers = true},
}};

/// Relatives of what can be read, with what they have that cannot be run.
struct Relative {
  const char* class_name;
  const char* model_type;
  const char* why;
};
constexpr const char* kExperts = "mixtures of experts cannot be run";
constexpr const char* kPictures = "this model of pictures and text cannot be run, and its text part alone is not read";
constexpr std::array<Relative, 8> kRelatives{{
    {"Qwen3MoeForCausalLM", "qwen3_moe", kExperts},
    {"Qwen2MoeForCausalLM", "qwen2_moe", kExperts},
    {"MixtralForCausalLM", "mixtral", kExperts},
    {"PhimoeForCausalLM", "phimoe", kExperts},
    {"Phi4MultimodalForCausalLM", "phi4_multimodal", kPictures},
    {"Gemma3nForCausalLM", "gemma3n_text", "embeddings per layer cannot be run"},
    {"MinistralForCausalLM", "ministral", "only Mistral's windows, one for all layers, can be run"},
    {"Qwen3NextForCausalLM", "qwen3_next", "linear attention cannot be run"},
}};

/// Models of pictures and text whose `text_config` is that of a model which can be read.
struct WithTextPart {
  const char* class_name;
  const char* model_type;
  const char* text_type;  ///< `model_type` of the part
};
constexpr std::array<WithTextPart, 2> kWithTextPart{{{"Gemma3ForConditionalGeneration", "gemma3", "gemma3_text"},
                                                     {"Mistral3ForConditionalGeneration", "mistral3", "mistral"}}};

std::string class_names() {
  std::string all;
  for (const ArchitectureSpec& spec : kArchitectures) {
    if (&spec != &kArchitectures.front()) all += &spec == &kArchitectures.back() ? " and " : ", ";
    all += spec.class_name;
  }
  return all;
}

/// The text of a refusal of a name that `key` has, which is a class, or a type.
std::string refusal(const Json& name, bool is_class) {
  std::string text = shown(name) + " is not supported";
  for (const Relative& relative : kRelatives)
    if (name == (is_class ? relative.class_name : relative.model_type)) text += std::string(": ") + relative.why;
  return text + "; supported are " + class_names();
}

}  // namespace

std::span<const ArchitectureSpec> architectures() noexcept { return kArchitectures; }

const ArchitectureSpec& find_architecture(const JsonObject& config) {
  const auto type = config.optional_text("model_type");
  if (config.find("architectures")) {
    const Json& found = config.array("architectures");
    if (found.size() != 1 || !found[0].is_string()) config.wrong("architectures", "an array of one name", found);
    for (const ArchitectureSpec& spec : kArchitectures) {
      if (!(found[0] == spec.class_name)) continue;
      if (type && *type != spec.model_type)
        config.unsupported("model_type", "\"" + *type + "\" does not belong to " + spec.class_name);
      return spec;
    }
    config.unsupported("architectures", refusal(found[0], true));
  }
  if (!type) fail(Status::bad_file, config.where(), ": expected 'architectures' or 'model_type', found neither");
  for (const ArchitectureSpec& spec : kArchitectures)
    if (*type == spec.model_type) return spec;
  config.unsupported("model_type", refusal(*type, false));
}

std::optional<JsonObject> text_part(const JsonObject& config) {
  const Json* const classes = config.find("architectures");
  const Json* const type = config.find("model_type");
  for (const WithTextPart& whole : kWithTextPart) {
    if (classes != nullptr ? *classes != Json::array({whole.class_name}) : type == nullptr || *type != whole.model_type)
      continue;
    if (type != nullptr && *type != whole.model_type)
      config.unsupported("model_type", shown(*type) + " does not belong to " + whole.class_name);
    JsonObject part = config.object("text_config");
    find_architecture(part);
    if (const std::string found = part.text("model_type"); found != whole.text_type)
      part.unsupported("model_type", "\"" + found + "\" is not supported in a " + whole.class_name + ", only \"" +
                                         whole.text_type + "\"");
    return part;
  }
  return std::nullopt;
}

}  // namespace impl

const char* architecture_name(Architecture architecture) noexcept {
  for (const impl::ArchitectureSpec& spec : impl::architectures())
    if (spec.architecture == architecture) return spec.class_name;
  return "unknown";
}

}  // namespace anabranch::hf
