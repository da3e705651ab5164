// Random weights for tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include <anabranch/eigen/weights.hpp>

namespace anabranch::eigen {
namespace impl {

/// Draws numbers that float32 holds exactly.
class WeightSource {
 public:
  explicit WeightSource(std::uint64_t seed) : engine_(seed) {}
  double draw(double centre, double deviation) {
    // Sum of uniforms instead of std::normal_distribution, which differs between standard libraries.
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(engine_() >> 11) * 0x1.0p-53;
    return static_cast<double>(static_cast<float>(centre + deviation * sum));
  }
  Matrix matrix(std::int32_t rows, std::int32_t columns, double deviation) {
    Matrix m(rows, columns);
    for (::Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = draw(0.0, deviation);
    return m;
  }
  Vector vector(std::int32_t size, double centre, double deviation) {
    Vector v(size);
    for (::Eigen::Index i = 0; i < v.size(); ++i) v[i] = draw(centre, deviation);
    return v;
  }

 private:
  std::mt19937_64 engine_;
};

inline LayerWeights random_layer(const Shape& s, WeightSource& source) {
  const double in = 1.0 / std::sqrt(static_cast<double>(s.hidden));
  const std::int32_t q = s.query_heads * s.head_size;
  const std::int32_t kv = s.kv_heads * s.head_size;
  LayerWeights w;
  const double centre = 1.0 - s.norm_offset;  // of the weights of norms
  w.input_norm = source.vector(s.hidden, centre, 0.2);
  // Larger than usual: attention then differs clearly between keys, so that a wrong mask cannot hide.
  w.query = source.matrix(q, s.hidden, 1.5 * in);
  w.key = source.matrix(kv, s.hidden, 1.5 * in);
  w.value = source.matrix(kv, s.hidden, in);
  if (s.qkv_bias) {
    w.query_bias = source.vector(q, 0.0, 0.5);
    w.key_bias = source.vector(kv, 0.0, 0.5);
    w.value_bias = source.vector(kv, 0.0, 0.5);
  }
  if (s.qk_norm) {
    w.query_norm = source.vector(s.head_size, centre, 0.2);
    w.key_norm = source.vector(s.head_size, centre, 0.2);
  }
  w.out = source.matrix(s.hidden, q, 1.0 / std::sqrt(static_cast<double>(q)));
  w.ffn_norm = source.vector(s.hidden, centre, 0.2);
  if (s.post_norms) {
    w.post_attention_norm = source.vector(s.hidden, centre, 0.2);
    w.post_ffn_norm = source.vector(s.hidden, centre, 0.2);
  }
  w.gate = source.matrix(s.ffn, s.hidden, in);
  w.up = source.matrix(s.ffn, s.hidden, in);
  w.down = source.matrix(s.hidden, s.ffn, 1.0 / std::sqrt(static_cast<double>(s.ffn)));
  return w;
}

}  // namespace impl

inline Weights random_weights(const Shape& shape, std::uint64_t seed) {
  check_shape(shape);
  impl::WeightSource source(seed);
  Weights w;
  w.shape = shape;
  const double in = 1.0 / std::sqrt(static_cast<double>(shape.hidden));
  w.embedding = source.matrix(shape.vocabulary, shape.hidden, in);  // as a tied head it gives logits near 1
  for (std::int32_t l = 0; l < shape.layers; ++l) w.layers.push_back(impl::random_layer(shape, source));
  w.final_norm = source.vector(shape.hidden, 1.0 - shape.norm_offset, 0.2);
  if (!shape.tied_head) w.head = source.matrix(shape.vocabulary, shape.hidden, in);
  return w;
}

}  // namespace anabranch::eigen
