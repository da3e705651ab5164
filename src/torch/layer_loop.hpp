// The one loop over a model's layers, and the operations that a device must have for it.
//
// An architecture differs from another in its configuration alone (hf/config.hpp), which the operations read. So the
// next architecture is a description, and the next device a class with these operations.
#pragma once

#include <concepts>
#include <cstddef>

#include <anabranch/decode/model.hpp>
#include <anabranch/plan/step_plan.hpp>

namespace anabranch::torch {

/// Computes a model's layers on the rows of one pass, which it keeps itself: their residual stream, and what lies
/// between two operations.
template <class Device>
concept LayerDevice = requires(Device device, const StepPlan& plan, std::size_t layer) {
  /// The residual stream begins with the embeddings of the plan's tokens.
  device.embed_rows(plan);
  /// Queries, keys and values of all rows, normed and turned; keys and values go to the rows' slots.
  device.project_heads(layer, plan);
  /// Attention of all rows over what the plan's groups, and the layer's window, let them see.
  device.attend(layer);
  /// From now on only the rows of the plan's outputs count, in their order.
  device.keep_outputs(plan);
  /// Adds the projection of what attention gave, and then the gated feed-forward, to the residual stream.
  device.add_attention(layer);
  device.add_feed_forward(layer);
  /// Of the rows that count, valid until the next pass.
  { device.logits() } -> std::same_as<LogitsView>;
};

/// One pass. REQUIRES: a checked plan with at least one row, and at least one layer.
template <LayerDevice Device>
LogitsView run_layers(Device& device, const StepPlan& plan, std::size_t n_layers) {
  device.embed_rows(plan);
  for (std::size_t layer = 0; layer < n_layers; ++layer) {
    device.project_heads(layer, plan);
    const bool last = layer + 1 == n_layers;
    const bool stores_only = last && plan.outputs.empty();  // keys and values are all that later passes need
    if (!stores_only) device.attend(layer);
    if (last) device.keep_outputs(plan);
    if (stores_only) break;
    device.add_attention(layer);
    device.add_feed_forward(layer);
  }
  return device.logits();
}

}  // namespace anabranch::torch
