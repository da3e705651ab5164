// The prepared int8 weights of a model as a list of named tensors: the one order for writing, reading and counting.
#pragma once

#include <string>

#include <anabranch/hf/config.hpp>
#include <anabranch/linear/int8_matrix.hpp>

#include "tensors.hpp"

namespace anabranch::torch {

/// Calls visit.matrix(name, Projection, PackedShape), visit.norm(name, at::Tensor, size) and, for an embedding of its
/// own, visit.table(name, at::Tensor, rows, columns). Matrices come first, whose sizes keep each other aligned.
/// REQUIRES: the model has the layers of the configuration.
template <class Model, class Visit>
void visit_prepared(Model& model, const hf::ModelConfig& c, Visit&& visit) {
  const auto name = [](std::size_t layer, const char* part) { return "layers." + std::to_string(layer) + "." + part; };
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    auto& layer = model.layers[l];
    visit.matrix(name(l, "qkv"), layer.qkv, linear::PackedShape{.out = c.q_width() + 2 * c.kv_width(), .in = c.hidden});
    visit.matrix(name(l, "out"), layer.out, linear::PackedShape{.out = c.hidden, .in = c.q_width()});
    visit.matrix(name(l, "gate_up"), layer.gate_up,
                 linear::PackedShape{.out = c.ffn, .in = c.hidden, .gated = true, .activation = activation_of(c)});
    visit.matrix(name(l, "down"), layer.down, linear::PackedShape{.out = c.hidden, .in = c.ffn});
  }
  visit.matrix("head", model.head, linear::PackedShape{.out = c.vocabulary, .in = c.hidden});
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    auto& layer = model.layers[l];
    visit.norm(name(l, "input_norm"), layer.input_norm, c.hidden);
    visit.norm(name(l, "ffn_norm"), layer.ffn_norm, c.hidden);
    if (c.post_norms) {
      visit.norm(name(l, "post_attention_norm"), layer.post_attention_norm, c.hidden);
      visit.norm(name(l, "post_ffn_norm"), layer.post_ffn_norm, c.hidden);
    }
    if (!c.qk_norm) continue;
    visit.norm(name(l, "query_norm"), layer.query_norm, c.head_dim);
    visit.norm(name(l, "key_norm"), layer.key_norm, c.head_dim);
  }
  visit.norm("final_norm", model.final_norm, c.hidden);
  if (has_table(c, Weights::int8)) visit.table("embedding", model.embedding, c.vocabulary, c.hidden);
}

}  // namespace anabranch::torch
