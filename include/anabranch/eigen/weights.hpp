// Weights of a tiny decoder-only transformer in double precision: the Llama shape, with Qwen2's bias on q, k and v and
// Qwen3's norm of q and k as options.
//
// Random weights are rounded to float32, so that a float32 runner can load exactly the same model.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <anabranch/error.hpp>
#include <anabranch/types.hpp>

namespace anabranch::eigen {

/// Row-major, so that a row is one token and a weight has PyTorch's [out, in] layout.
using Matrix = ::Eigen::Matrix<double, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;
using Vector = ::Eigen::VectorXd;

/// Sizes and switches; the names in config.json are given where they differ.
struct Shape {
  std::int32_t vocabulary = 64;
  std::int32_t hidden = 32;
  std::int32_t layers = 2;
  std::int32_t query_heads = 4;
  std::int32_t kv_heads = 2;      ///< num_key_value_heads; divides query_heads
  std::int32_t head_size = 8;     ///< head_dim; even
  std::int32_t ffn = 48;          ///< intermediate_size
  Position max_positions = 4096;  ///< max_position_embeddings
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-5;
  bool qkv_bias = false;   ///< Qwen2
  bool qk_norm = false;    ///< Qwen3: RMSNorm of each head of q and k before RoPE
  bool tied_head = false;  ///< the output head is the embedding
};

struct LayerWeights {
  Vector input_norm;                        ///< [hidden]
  Matrix query, key, value;                 ///< [heads * head_size, hidden]
  Vector query_bias, key_bias, value_bias;  ///< [heads * head_size]; empty without qkv_bias
  Vector query_norm, key_norm;              ///< [head_size]; empty without qk_norm
  Matrix out;                               ///< [hidden, query_heads * head_size]
  Vector ffn_norm;                          ///< [hidden]
  Matrix gate, up;                          ///< [ffn, hidden]
  Matrix down;                              ///< [hidden, ffn]
};

struct Weights {
  Shape shape;
  Matrix embedding;  ///< [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Vector final_norm;  ///< [hidden]
  Matrix head;        ///< [vocabulary, hidden]; empty with tied_head
  const Matrix& output_head() const noexcept { return shape.tied_head ? embedding : head; }
};

/// Throws bad_argument when the sizes do not fit together.
inline void check_shape(const Shape& s) {
  const auto require = [](bool holds, const char* what, std::int64_t value, const char* limit) {
    if (!holds) fail(Status::bad_argument, std::string(what) + " is " + std::to_string(value) + ", must be " + limit);
  };
  require(s.vocabulary > 0, "vocabulary", s.vocabulary, "positive");
  require(s.hidden > 0, "hidden", s.hidden, "positive");
  require(s.layers > 0, "layers", s.layers, "positive");
  require(s.ffn > 0, "ffn", s.ffn, "positive");
  require(s.kv_heads > 0, "kv_heads", s.kv_heads, "positive");
  require(s.query_heads > 0 && s.query_heads % s.kv_heads == 0, "query_heads", s.query_heads, "a multiple of kv_heads");
  require(s.head_size > 0 && s.head_size % 2 == 0, "head_size", s.head_size, "positive and even");
  require(s.max_positions > 0, "max_positions", s.max_positions, "positive");
}

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
  w.input_norm = source.vector(s.hidden, 1.0, 0.2);
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
    w.query_norm = source.vector(s.head_size, 1.0, 0.2);
    w.key_norm = source.vector(s.head_size, 1.0, 0.2);
  }
  w.out = source.matrix(s.hidden, q, 1.0 / std::sqrt(static_cast<double>(q)));
  w.ffn_norm = source.vector(s.hidden, 1.0, 0.2);
  w.gate = source.matrix(s.ffn, s.hidden, in);
  w.up = source.matrix(s.ffn, s.hidden, in);
  w.down = source.matrix(s.hidden, s.ffn, 1.0 / std::sqrt(static_cast<double>(s.ffn)));
  return w;
}

}  // namespace impl

/// The same weights for the same seed on every machine.
inline Weights random_weights(const Shape& shape, std::uint64_t seed) {
  check_shape(shape);
  impl::WeightSource source(seed);
  Weights w;
  w.shape = shape;
  const double in = 1.0 / std::sqrt(static_cast<double>(shape.hidden));
  w.embedding = source.matrix(shape.vocabulary, shape.hidden, in);  // as a tied head it gives logits near 1
  for (std::int32_t l = 0; l < shape.layers; ++l) w.layers.push_back(impl::random_layer(shape, source));
  w.final_norm = source.vector(shape.hidden, 1.0, 0.2);
  if (!shape.tied_head) w.head = source.matrix(shape.vocabulary, shape.hidden, in);
  return w;
}

}  // namespace anabranch::eigen
