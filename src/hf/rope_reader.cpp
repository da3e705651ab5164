#include "rope_reader.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace anabranch::hf::impl {
namespace {

/// Settings that other versions of transformers had, and that would change the result.
constexpr const char* kOthers[] = {"short_mscale", "long_mscale", "mrope_section", "llama_4_scaling_beta"};
constexpr const char* kFullLayers = "full_attention";
constexpr const char* kWindowLayers = "sliding_attention";

/// Reads the settings of all layers, or of one kind of them.
struct RopeReader {
  const JsonObject& config;
  const ArchitectureSpec& spec;
  const ModelConfig& model;

  /// `parameters` none: the model has no object of settings. `by_kind`: they are of one kind of layers.
  RopeConfig read(const std::optional<JsonObject>& parameters, double theta, bool by_kind) const {
    RopeConfig rope;
    rope.theta = theta;
    read_share(config, rope);
    if (!parameters) return rope;
    const JsonObject& p = *parameters;
    rope.theta = p.positive_or("rope_theta", rope.theta);
    read_share(p, rope);
    for (const char* key : kOthers)
      if (p.find(key)) p.unsupported(key, shown(*p.find(key)) + " is not supported");
    rope.scaling = read_scaling(p);
    if (rope.scaling == RopeScaling::none) return rope;
    if (rope.scaling != RopeScaling::longrope) read_factor(p, rope);
    if (rope.scaling != RopeScaling::linear && rope.scaling != RopeScaling::dynamic)
      rope.original_max_positions = original_positions(p, by_kind);
    if (rope.scaling == RopeScaling::llama3) read_llama3(p, rope);
    if (rope.scaling == RopeScaling::yarn) read_yarn(p, rope);
    if (rope.scaling == RopeScaling::longrope) read_longrope(p, rope);
    return rope;
  }

 private:
  RopeScaling read_scaling(const JsonObject& p) const {
    const char* key = p.find("rope_type") ? "rope_type" : "type";
    const std::string name = p.optional_text(key).value_or("default");
    std::optional<RopeScaling> scaling = rope_scaling_of(name);
    if (spec.architecture != Architecture::phi3) {
      if (scaling) return *scaling;
      p.unsupported(key, "\"" + name +
                             "\" is not supported; supported are \"default\", \"linear\", \"dynamic\", \"llama3\", "
                             "\"yarn\" and \"longrope\"");
    }
    // Earlier Phi-3 files call longrope "su" or "yarn".
    if (name == "su" || name == "yarn") scaling = RopeScaling::longrope;
    if (scaling == RopeScaling::none || scaling == RopeScaling::longrope) return *scaling;
    p.unsupported(key, "\"" + name + "\" is not supported for " + spec.class_name +
                           "; supported are \"default\" and \"longrope\"");
  }

  /// `partial_rotary_factor`, which a model of whole heads must not set otherwise.
  void read_share(const JsonObject& object, RopeConfig& rope) const {
    const Json* value = object.find("partial_rotary_factor");
    if (!value) return;
    if (!value->is_number()) object.wrong("partial_rotary_factor", "a number", *value);
    const double share = value->get<double>();
    if (!spec.partial_rotary && share != 1.0)
      object.unsupported("partial_rotary_factor", shown(*value) + " is not supported, only 1.0");
    rope.rotary_share = share;
    const std::int32_t width = share > 0 && share <= 1 ? rotary_width(rope, model.head_dim) : 0;
    if (width <= 0 || width % 2 != 0)
      object.wrong("partial_rotary_factor",
                   "an even part above 0 of the " + std::to_string(model.head_dim) + " elements of a head", *value);
  }

  static void read_factor(const JsonObject& p, RopeConfig& rope) {
    rope.factor = p.positive("factor");
    if (rope.factor < 1.0) p.wrong("factor", "a number of at least 1", p.require("factor", "a number"));
  }

  /// A number beside the settings counts before theirs.
  Position original_positions(const JsonObject& p, bool by_kind) const {
    const char* key = "original_max_position_embeddings";
    Position positions = p.integer_or(key, 1, model.most_positions);
    if (by_kind) return positions;
    return config.integer_or(key, 1, spec.original_positions.value_or(positions));
  }

  static void read_llama3(const JsonObject& p, RopeConfig& rope) {
    rope.low_freq_factor = p.positive("low_freq_factor");
    rope.high_freq_factor = p.positive("high_freq_factor");
    if (rope.high_freq_factor <= rope.low_freq_factor)
      p.wrong("high_freq_factor", "a number above low_freq_factor", p.require("high_freq_factor", "a number"));
  }

  /// Where the file does not say what attention is scaled by, it is what Peng et al. 2023 suggest.
  static void read_yarn(const JsonObject& p, RopeConfig& rope) {
    if (rope.theta <= 1.0)
      fail(Status::bad_file, p.where(), ": 'rope_theta': expected a number above 1 for yarn, found ", rope.theta);
    rope.beta_fast = p.positive_or("beta_fast", rope.beta_fast);
    rope.beta_slow = p.positive_or("beta_slow", rope.beta_slow);
    rope.truncate = p.flag_or("truncate", !p.json().contains("truncate"));  // to transformers null is false
    const auto scale = [&](double weight) { return rope.factor <= 1 ? 1.0 : 0.1 * weight * std::log(rope.factor) + 1; };
    double suggested = scale(1.0);
    if (p.find("mscale") && p.find("mscale_all_dim"))
      suggested = scale(p.positive("mscale")) / scale(p.positive("mscale_all_dim"));
    rope.attention_factor = p.positive_or("attention_factor", suggested);
  }

  void read_longrope(const JsonObject& p, RopeConfig& rope) const {
    const Position original = rope.original_max_positions;
    rope.factor = p.positive_or("factor", static_cast<double>(model.most_positions) / original);
    double suggested = 1.0;
    if (rope.factor > 1.0) {
      if (original < 2)
        fail(Status::bad_file, p.where(), ": 'original_max_position_embeddings': expected at least 2, found ",
             original);
      suggested = std::sqrt(1 + std::log(rope.factor) / std::log(original));
    }
    rope.attention_factor = p.positive_or("attention_factor", suggested);
    rope.short_factors = read_factors(p, "short_factor", rope);
    rope.long_factors = read_factors(p, "long_factor", rope);
  }

  std::vector<double> read_factors(const JsonObject& p, const char* key, const RopeConfig& rope) const {
    const auto n = static_cast<std::size_t>(rotary_width(rope, model.head_dim) / 2);
    const std::string expected = std::to_string(n) + " numbers above 0, one for each rotary pair";
    const Json& values = p.require(key, expected.c_str());
    if (!values.is_array() || values.size() != n) p.wrong(key, expected, values);
    std::vector<double> factors;
    for (const Json& value : values) {
      const double factor = value.is_number() ? value.get<double>() : 0;
      if (!std::isfinite(factor) || factor <= 0) p.wrong(key, expected, value);
      factors.push_back(factor);
    }
    return factors;
  }
};

/// Settings for each kind of layers: transformers 5 nests them; before, `rope_scaling` was of the layers without a
/// window, and `rope_local_base_freq` stood for the others.
void read_by_kind(const JsonObject& config, const RopeReader& reader, ModelConfig& model) {
  const auto nested = config.optional_object("rope_parameters");
  if (nested)
    for (const auto& [key, value] : nested->json().items())
      if (key != kFullLayers && key != kWindowLayers)
        nested->unsupported(key.c_str(), shown(value) + " is not supported; supported are settings for " + kFullLayers +
                                             " and for " + kWindowLayers);
  const auto of = [&](const char* kind) { return nested ? nested->optional_object(kind) : std::nullopt; };
  auto full = config.optional_object("rope_scaling");
  if (full && full->json().empty()) full.reset();
  const auto full_nested = of(kFullLayers);
  if (full && full_nested && full->json() != full_nested->json())
    config.unsupported("rope_scaling",
                       shown(full->json()) + " is not supported beside other 'rope_parameters' of full_attention");
  const ArchitectureSpec& spec = reader.spec;
  model.rope = reader.read(full ? full : full_nested, config.positive_or("rope_theta", spec.rope_theta), true);
  model.window_rope =
      reader.read(of(kWindowLayers), config.positive_or("rope_local_base_freq", *spec.window_rope_theta), true);
}

/// transformers 5 writes `rope_parameters`; before, `rope_theta` stood beside `rope_scaling`, whose type was once
/// `type`.
void read_for_all(const JsonObject& config, const RopeReader& reader, ModelConfig& model) {
  auto parameters = config.optional_object("rope_scaling");
  if (!parameters || parameters->json().empty()) parameters = config.optional_object("rope_parameters");
  if (parameters)
    for (const char* kind : {kFullLayers, kWindowLayers})
      if (parameters->find(kind))
        parameters->unsupported(
            kind, std::string("rope parameters per layer type are not supported for ") + reader.spec.class_name);
  model.rope = reader.read(parameters, config.positive_or("rope_theta", reader.spec.rope_theta), false);
}

}  // namespace

void read_rope(const JsonObject& config, const ArchitectureSpec& spec, ModelConfig& model) {
  model.most_positions = config.integer_or("max_position_embeddings", 1, spec.max_positions);
  const RopeReader reader{config, spec, model};
  if (spec.window_rope_theta)
    read_by_kind(config, reader, model);
  else
    read_for_all(config, reader, model);
  Position positions = model.most_positions;
  for (const RopeConfig* rope : {&model.rope, model.window_rope ? &*model.window_rope : nullptr})
    if (rope != nullptr && rope->scaling == RopeScaling::longrope)
      positions = std::min(positions, rope->original_max_positions);
  model.max_positions = positions;
}

}  // namespace anabranch::hf::impl
