// Tiny random models that learn, and the same models in the oracle's double precision.
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/eigen/oracle.hpp>
#include <anabranch/train/model.hpp>
#include <anabranch/train/tag_rows.hpp>

#include "torch/tiny_model.hpp"
#include "train/support.hpp"

namespace anabranch::test {

/// A shape of a family with room for the byte tokenizer's ids.
inline eigen::Shape with_bytes(eigen::Shape shape) {
  shape.vocabulary = byte_text().tokenizer.n_tokens() + 3;
  return shape;
}

inline std::vector<TokenId> tags_of_bytes() { return train::tag_tokens(renderer().tags()); }

inline train::ModelOptions tiny_options(train::Compute compute = train::Compute::float32) {
  return {.rank = 3, .alpha = 4.5f, .compute = compute, .token_rows = tags_of_bytes(), .seed = 5};
}

/// Moves every parameter away from where it starts: adapters whose B is zero would have no gradient of A.
inline void shake(train::Model& model, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
  for (train::Parameter& p : model.parameters())
    for (float& x : p.values) x += uniform(random);
  model.parameters_changed();
}

namespace tiny_impl {

inline eigen::Matrix matrix(const std::vector<float>& values, std::int64_t rows, std::int64_t columns) {
  using Floats = ::Eigen::Matrix<float, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;
  return ::Eigen::Map<const Floats>(values.data(), rows, columns).cast<double>();
}

/// The oracle's weights by their names in a folder, as references.
struct Places {
  std::map<std::string, eigen::Matrix*> matrices;
  std::map<std::string, eigen::Vector*> vectors;
};

inline Places places(eigen::Weights& w) {
  Places p;
  p.matrices["model.embed_tokens.weight"] = &w.embedding;
  p.matrices["lm_head.weight"] = &w.head;
  p.vectors["model.norm.weight"] = &w.final_norm;
  for (std::size_t l = 0; l < w.layers.size(); ++l) {
    eigen::LayerWeights& layer = w.layers[l];
    const std::string prefix = "model.layers." + std::to_string(l) + ".", attention = prefix + "self_attn.";
    p.matrices[attention + "q_proj.weight"] = &layer.query;
    p.matrices[attention + "k_proj.weight"] = &layer.key;
    p.matrices[attention + "v_proj.weight"] = &layer.value;
    p.matrices[attention + "o_proj.weight"] = &layer.out;
    p.matrices[prefix + "mlp.gate_proj.weight"] = &layer.gate;
    p.matrices[prefix + "mlp.up_proj.weight"] = &layer.up;
    p.matrices[prefix + "mlp.down_proj.weight"] = &layer.down;
    p.vectors[attention + "q_proj.bias"] = &layer.query_bias;
    p.vectors[attention + "k_proj.bias"] = &layer.key_bias;
    p.vectors[attention + "v_proj.bias"] = &layer.value_bias;
    p.vectors[attention + "q_norm.weight"] = &layer.query_norm;
    p.vectors[attention + "k_norm.weight"] = &layer.key_norm;
    p.vectors[prefix + "input_layernorm.weight"] = &layer.input_norm;
    p.vectors[prefix + "post_attention_layernorm.weight"] = &layer.ffn_norm;
  }
  return p;
}

inline void set_rows(eigen::Matrix& table, const std::vector<TokenId>& tokens, const std::vector<float>& rows) {
  for (std::size_t i = 0; i < tokens.size() && !rows.empty(); ++i)
    table.row(tokens[i]) =
        matrix(rows, static_cast<std::int64_t>(tokens.size()), table.cols()).row(static_cast<::Eigen::Index>(i));
}

}  // namespace tiny_impl

/// What the model computes with now: `base` with its adapters and rows, or with its own weights.
inline eigen::Weights oracle_weights(const eigen::Weights& base, const train::Model& model) {
  eigen::Weights w = base;
  const tiny_impl::Places places = tiny_impl::places(w);
  const train::ModelOptions& o = model.options();
  if (o.tuning == train::Tuning::full) {
    for (const train::ModelTensor& t : model.tensors()) {
      if (t.shape.size() == 2) *places.matrices.at(t.name) = tiny_impl::matrix(t.values, t.shape[0], t.shape[1]);
      if (t.shape.size() == 1) *places.vectors.at(t.name) = tiny_impl::matrix(t.values, t.shape[0], 1);
    }
    return w;
  }
  for (const train::LoraModule& m : model.lora_modules())
    *places.matrices.at(m.path + ".weight") += static_cast<double>(o.alpha) / o.rank *
                                               tiny_impl::matrix(m.b, m.out, o.rank) *
                                               tiny_impl::matrix(m.a, o.rank, m.in);
  tiny_impl::set_rows(w.embedding, o.token_rows, model.token_rows());
  if (!base.shape.tied_head) tiny_impl::set_rows(w.head, o.token_rows, model.head_rows());
  return w;
}

/// -log p of every target, as the formula is written: log of the sum of all exponentials, less the target's logit.
inline std::vector<double> reference_losses(const eigen::Weights& weights, const train::TokenRow& row) {
  const auto n = static_cast<::Eigen::Index>(row.n_tokens());
  eigen::Mask mask = eigen::Mask::Constant(n, n, false);
  for (const train::VisibleRun& run : row.runs)
    for (std::int32_t q = run.begin; q < run.end; ++q) {
      for (const train::Interval& i : run.before) mask.row(q).segment(i.begin, i.end - i.begin).setConstant(true);
      mask.row(q).segment(run.own_begin, q + 1 - run.own_begin).setConstant(true);
    }
  const eigen::Matrix logits = eigen::Oracle(weights).logits(row.tokens, row.positions, mask);
  std::vector<double> losses;
  for (::Eigen::Index q = 0; q < n; ++q) {
    const TokenId target = row.targets[static_cast<std::size_t>(q)];
    if (target == kNone) continue;
    double sum = 0;
    for (::Eigen::Index t = 0; t < logits.cols(); ++t) sum += std::exp(logits(q, t));
    losses.push_back(std::log(sum) - logits(q, target));
  }
  return losses;
}

inline double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

/// One pass of these rows.
inline train::Losses accumulate(train::Model& model, const std::vector<const train::TokenRow*>& rows,
                                double scale = 1) {
  return model.accumulate(rows, scale);
}

}  // namespace anabranch::test
