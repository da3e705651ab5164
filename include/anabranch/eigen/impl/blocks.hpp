// The arithmetic of one transformer layer that does not depend on how attention finds its keys.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include <anabranch/eigen/weights.hpp>

namespace anabranch::eigen::impl {

/// RMSNorm (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + epsilon) * weight.
template <class Row>
Vector rms_norm(const Row& x, const Vector& weight, double epsilon) {
  const double mean_square = x.squaredNorm() / static_cast<double>(x.size());
  const Vector column = x;
  return column.cwiseProduct(weight) / std::sqrt(mean_square + epsilon);
}

/// Rotary embedding in the half-rotation layout of Hugging Face: element i is paired with i + head_size / 2, and the
/// pair is rotated by position * theta^(-2i / head_size).
template <class Head>
void rotate(Head&& x, Position position, double theta) {
  const ::Eigen::Index half = x.size() / 2;
  for (::Eigen::Index i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(x.size());
    const double angle = static_cast<double>(position) * std::pow(theta, exponent);
    const double low = x[i];
    const double high = x[i + half];
    x[i] = low * std::cos(angle) - high * std::sin(angle);
    x[i + half] = high * std::cos(angle) + low * std::sin(angle);
  }
}

/// The same by the model's norms, whose stored weights may lack an offset.
template <class Row>
Vector norm(const Row& x, const Vector& weight, const Shape& s) {
  return rms_norm(x, (weight.array() + s.norm_offset).matrix(), s.norm_epsilon);
}

/// q, k and v of one token, head by head; q and k after their norm and RoPE.
struct Projection {
  Vector query, key, value;
};

/// How a token's heads turn in a layer.
struct Turn {
  Position position = 0;
  double theta = 0;  ///< 0: they do not
};

/// The window of a layer; 0: none.
inline std::int32_t window_of(const Shape& s, std::size_t layer) {
  return s.windows.empty() ? 0 : s.windows[layer % s.windows.size()];
}

inline Turn turn_of(const Shape& s, std::size_t layer, Position position) {
  if (s.turn_interval > 0 && (layer + 1) % static_cast<std::size_t>(s.turn_interval) == 0) return {position, 0};
  const bool own = s.window_rope_theta > 0 && window_of(s, layer) > 0;
  return {position, own ? s.window_rope_theta : s.rope_theta};
}

inline void finish_heads(Vector& heads, const Shape& s, const Vector& weight, const Turn& turn) {
  const auto width = static_cast<::Eigen::Index>(s.head_size * s.rotary_share);
  for (::Eigen::Index begin = 0; begin < heads.size(); begin += s.head_size) {
    auto head = heads.segment(begin, s.head_size);
    if (weight.size() > 0) head = norm(head, weight, s).eval();
    if (turn.theta > 0) rotate(heads.segment(begin, width), turn.position, turn.theta);
  }
}

inline Projection project(const Vector& hidden, const LayerWeights& w, const Shape& s, const Turn& turn) {
  const Vector x = norm(hidden, w.input_norm, s);
  Projection p{w.query * x, w.key * x, w.value * x};
  if (s.qkv_bias) {
    p.query += w.query_bias;
    p.key += w.key_bias;
    p.value += w.value_bias;
  }
  finish_heads(p.query, s, w.query_norm, turn);
  finish_heads(p.key, s, w.key_norm, turn);
  return p;
}

/// Whether a token at position `query` has a key at position `key` in a window.
inline bool in_window(Position query, Position key, std::int32_t window) {
  return window == 0 || std::int64_t{key} > std::int64_t{query} - window;
}

/// Attention of one token over `n_keys` keys. `key(j)` and `value(j)` give [kv_heads * head_size] of the j-th.
template <class Key, class Value>
Vector attend(const Vector& query, ::Eigen::Index n_keys, const Shape& s, Key&& key, Value&& value) {
  const std::int32_t share = s.query_heads / s.kv_heads;
  const double scale = s.query_scale > 0 ? s.query_scale : 1.0 / std::sqrt(s.head_size);
  Vector out = Vector::Zero(query.size());
  for (std::int32_t h = 0; h < s.query_heads; ++h) {
    const ::Eigen::Index q = static_cast<::Eigen::Index>(h) * s.head_size;
    const ::Eigen::Index kv = static_cast<::Eigen::Index>(h / share) * s.head_size;
    Vector scores(n_keys);
    for (::Eigen::Index j = 0; j < n_keys; ++j)
      scores[j] = query.segment(q, s.head_size).dot(key(j).segment(kv, s.head_size)) * scale;
    if (s.softcap > 0) scores = s.softcap * (scores.array() / s.softcap).tanh();
    Vector weights = (scores.array() - scores.maxCoeff()).exp();
    weights /= weights.sum();
    for (::Eigen::Index j = 0; j < n_keys; ++j)
      out.segment(q, s.head_size) += weights[j] * value(j).segment(kv, s.head_size);
  }
  return out;
}

inline double activate(double x, Activation activation) {
  if (activation == Activation::silu) return x / (1.0 + std::exp(-x));
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

/// The part of a layer behind attention: output projection, residual, norm, gated feed-forward, residual.
inline void finish_layer(Vector& hidden, const Vector& attended, const LayerWeights& w, const Shape& s) {
  const auto add = [&](const Vector& x, const Vector& post_norm) {
    if (s.post_norms)
      hidden += s.residual_scale * norm(x, post_norm, s);
    else
      hidden += s.residual_scale * x;
  };
  add(w.out * attended, w.post_attention_norm);
  const Vector x = norm(hidden, w.ffn_norm, s);
  const Vector gate = (w.gate * x).unaryExpr([&](double g) { return activate(g, s.activation); });
  const Vector up = w.up * x;
  add(w.down * gate.cwiseProduct(up), w.post_ffn_norm);
}

inline Vector embedding(TokenId token, const Weights& weights) {
  return weights.embedding.row(token) * weights.shape.embedding_scale;
}

inline Vector logits(const Vector& hidden, const Weights& weights) {
  const Shape& s = weights.shape;
  Vector out = weights.output_head() * norm(hidden, weights.final_norm, s) / s.logit_divisor;
  if (s.logit_softcap > 0) out = s.logit_softcap * (out.array() / s.logit_softcap).tanh();
  return out;
}

inline void check_token(TokenId token, std::size_t index, const Shape& s) {
  if (token < 0 || token >= s.vocabulary)
    fail(Status::bad_argument, "token ", token, " of row ", index, " is outside the vocabulary of ", s.vocabulary);
}

inline void check_position(Position position, std::size_t index, const Shape& s) {
  if (position < 0 || position >= s.max_positions)
    fail(Status::out_of_range, "position ", position, " of row ", index, " is outside the model's ", s.max_positions,
         " positions");
}

}  // namespace anabranch::eigen::impl
