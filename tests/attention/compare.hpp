// The kernels beside attention by the definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <anabranch/simd.hpp>

#include "catch.hpp"
#include "dense.hpp"
#include "pass.hpp"

namespace anabranch::test {

using attention::Element;
using attention::HeadShape;
using attention::KvLayout;
using attention::ScoreOptions;

/// The values of a K/V tensor as float32, by the test's own reading of the formats.
inline float rounded(float x, Element element) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (element == Element::bfloat16) bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  if (element == Element::float16) {  // 10 bits of fraction; the tests' numbers are normal in it
    const std::uint32_t half = 0xfffu + ((bits >> 13) & 1u);
    bits = (bits + half) & 0xffffe000u;
  }
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline std::vector<float> rounded(std::vector<float> all, Element element, std::int32_t dim) {
  if (element != Element::int8) {
    for (float& x : all) x = rounded(x, element);
    return all;
  }
  for (std::size_t first = 0; first < all.size(); first += static_cast<std::size_t>(dim)) {
    float largest = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(dim); ++i)
      largest = std::max(largest, std::abs(all[i]));
    for (std::size_t i = first; i < first + static_cast<std::size_t>(dim); ++i)
      all[i] = std::nearbyint(all[i] * (127.0f / largest)) * (largest / 127.0f);
  }
  return all;
}

/// Largest difference that the arithmetic of an element may leave: float32 sums, or bfloat16 queries and weights.
inline double bound(Element element) {
  const bool pairs =
      simd::allows(simd::Extra::avx512_bf16) && (element == Element::bfloat16 || element == Element::int8);
  return pairs ? 2e-2 : 1e-5;
}

/// The largest difference; NaN where one is not a number.
inline double difference(const std::vector<float>& got, const std::vector<double>& want) {
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double off = std::abs(want[i] - static_cast<double>(got.at(i)));
    if (!(off <= worst)) worst = off;
  }
  return worst;
}

/// Random K, V and queries through the kernels and by the definition.
inline void compare(const Pass& pass, const HeadShape& shape, Element element, KvLayout layout, std::mt19937& random,
                    const ScoreOptions& options = {}) {
  const auto n_slots = static_cast<std::size_t>(pass.n_slots);
  const auto kv = static_cast<std::size_t>(shape.kv_width());
  // float16 without subnormal numbers
  auto keys = random_floats(n_slots * kv, random);
  auto values = random_floats(n_slots * kv, random);
  for (auto* all : {&keys, &values})
    for (float& x : *all) x += x < 0 ? -0.01f : 0.01f;
  const auto queries = random_floats(static_cast<std::size_t>(pass.n_rows() * shape.q_width()), random);
  Layer layer(shape, element, layout, pass.n_slots);
  layer.fill(keys, values);
  const Result got = attend(pass, queries, layer, shape, {}, options);
  const DenseResult want = dense(pass, queries, rounded(keys, element, shape.head_dim),
                                 rounded(values, element, shape.head_dim), shape, options);
  INFO("element " << static_cast<int>(element) << ", head_dim " << shape.head_dim << ", rows " << pass.n_rows()
                  << ", window " << options.window << ", softcap " << options.softcap << ", scale " << options.scale);
  CHECK(difference(got.out, want.out) < bound(element));
  CHECK(difference(got.lse, want.lse) < bound(element));
}

/// Goes over the instruction sets that this machine can run.
class EachLevel {
 public:
  ~EachLevel() { simd::limit(simd::Level::best); }
  template <class F>
  void operator()(F&& call) const {
    for (const simd::Level level : simd::levels()) {
      simd::limit(level);
      INFO("instructions: " << simd::in_use());
      call(level);
    }
  }
};

}  // namespace anabranch::test
