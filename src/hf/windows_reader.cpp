#include "windows_reader.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace anabranch::hf::impl {
namespace {

/// `layer_types`: which layers have a window. None: the key is absent.
std::optional<std::vector<bool>> listed_layers(const JsonObject& config, std::int32_t n_layers) {
  if (!config.find("layer_types")) return std::nullopt;
  const Json& types = config.array("layer_types");
  if (std::cmp_not_equal(types.size(), n_layers))
    config.wrong("layer_types", "one entry for each of " + std::to_string(n_layers) + " layers", types);
  std::vector<bool> layers;
  for (const Json& type : types) {
    layers.push_back(type == "sliding_attention");
    if (!layers.back() && type != "full_attention")
      config.unsupported("layer_types", shown(type) +
                                            " is not supported; supported are \"full_attention\" and "
                                            "\"sliding_attention\"");
  }
  return layers;
}

/// The layers with a window where `layer_types` does not say it. `has_window`: the model has one at all.
std::vector<bool> layers_of_rule(const JsonObject& config, const ArchitectureSpec& spec, const ModelConfig& model,
                                 bool has_window) {
  const std::int32_t n_layers = model.n_layers;
  std::vector<bool> layers(static_cast<std::size_t>(n_layers), has_window);
  if (spec.windows == WindowRule::unturned && has_window) layers = model.unturned;
  if (spec.windows == WindowRule::from) {
    const std::int32_t first = std::min(config.integer_or("max_window_layers", 0, 28), n_layers);
    std::fill_n(layers.begin(), first, false);
  }
  if (spec.windows == WindowRule::pattern) {
    const std::int32_t period = spec.architecture == Architecture::gemma3
                                    ? config.integer_or("sliding_window_pattern", 1, spec.window_period)
                                    : spec.window_period;
    for (std::int32_t l = 0; l < n_layers; ++l) layers[static_cast<std::size_t>(l)] = (l + 1) % period != 0;
  }
  return layers;
}

/// A class without windows: transformers computes a prompt without one, and forgets keys by the number while it
/// generates, unless `layer_types` says otherwise.
void refuse_window(const JsonObject& config, const ArchitectureSpec& spec) {
  const std::int32_t positions = config.integer_or("max_position_embeddings", 1, spec.max_positions);
  if (config.integer_or("sliding_window", 1, positions) < positions)
    config.unsupported("sliding_window",
                       shown(*config.find("sliding_window")) + " is not supported for " + spec.class_name +
                           ", only null, or as many as 'max_position_embeddings' (" + std::to_string(positions) + ")");
}

}  // namespace

std::vector<std::int32_t> read_windows(const JsonObject& config, const ArchitectureSpec& spec,
                                       const ModelConfig& model) {
  const auto listed = listed_layers(config, model.n_layers);
  if (spec.windows == WindowRule::none) {
    if (listed && std::find(listed->begin(), listed->end(), true) != listed->end())
      config.unsupported("layer_types", std::string("a window is not supported for ") + spec.class_name);
    if (!listed) refuse_window(config, spec);
    return {};
  }
  const bool absent = !config.json().contains("sliding_window");
  const bool asks = spec.windows == WindowRule::from || spec.windows == WindowRule::unturned;
  const bool used = !asks || config.flag_or("use_sliding_window", false);
  const std::int32_t window = used ? config.integer_or("sliding_window", 1, absent ? spec.window : 0) : 0;
  std::vector<bool> layers = layers_of_rule(config, spec, model, window > 0);
  if (listed) {
    if (spec.windows == WindowRule::all && *listed != layers)
      config.unsupported("layer_types", std::string("kinds of layers that differ are not supported for ") +
                                            spec.class_name + ", whose layers have one window, or none");
    layers = *listed;
  }
  if (std::find(layers.begin(), layers.end(), true) == layers.end()) return {};
  if (window == 0)
    fail(Status::bad_file, config.where(),
         ": 'sliding_window': expected the window of the layers that have one, found ",
         used ? "none" : "'use_sliding_window' unset");
  std::vector<std::int32_t> windows;
  for (const bool has_window : layers) windows.push_back(has_window ? window : 0);
  return windows;
}

}  // namespace anabranch::hf::impl
