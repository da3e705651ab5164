// Parts that the tests of products share: random arrays, a pool of threads, and the product in 64-bit integers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory_resource>
#include <random>
#include <thread>
#include <vector>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/parallel_for.hpp>
#include <anabranch/simd.hpp>

namespace anabranch::linear::test {

inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed, float spread = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

/// Runs every body on a thread of its own.
inline ParallelFor threads(std::int32_t n) {
  return {[](void*, std::int32_t count, ParallelFor::Task task, void* body) {
            std::vector<std::thread> all;
            for (std::int32_t i = 0; i < count; ++i) all.emplace_back(task, body, i);
            for (std::thread& thread : all) thread.join();
          },
          nullptr, n};
}

/// Runs `body` with every instruction set of this CPU, and leaves the best one chosen.
template <class Body>
void with_each_level(Body&& body) {
  for (const simd::Level level : simd::levels()) {
    simd::limit(level);
    body(simd::name(level));
  }
  simd::limit(simd::Level::best);
}

/// Weights of one channel as integers and what one of them stands for, found from `channel`, which gives scale * q.
struct Channel {
  std::vector<std::int64_t> integers;
  float scale = 0;
};
inline Channel channel_of(const std::vector<float>& weights, std::int32_t in, std::int32_t index) {
  Channel out;
  float largest = 0;
  const float* w = weights.data() + std::int64_t{index} * in;
  for (std::int32_t k = 0; k < in; ++k) largest = std::max(largest, std::fabs(w[k]));
  out.scale = largest / 127.0f;
  for (std::int32_t k = 0; k < in; ++k)
    out.integers.push_back(out.scale > 0 ? static_cast<std::int64_t>(std::nearbyint(w[k] / out.scale)) : 0);
  return out;
}

/// Exact sums of the row's blocks, scaled and added in order, times the channel's scale: each step rounded to float32.
inline float expected_product(const Channel& channel, const QuantisedRows& rows, std::int32_t row) {
  float total = 0;
  for (std::int32_t begin = 0; begin < rows.width(); begin += rows.block_width()) {
    std::int64_t sum = 0;
    for (std::int32_t k = begin; k < std::min(rows.width(), begin + rows.block_width()); ++k)
      sum += channel.integers[static_cast<std::size_t>(k)] * rows.value(row, k);
    const volatile float scaled = static_cast<float>(sum) * rows.scale(row, begin);  // volatile: not fused with the sum
    total += scaled;
  }
  return total * channel.scale;
}

inline std::vector<float> product(const QuantisedRows& rows, const Int8Matrix& matrix, const ParallelFor& parallel = {},
                                  Write write = Write::replace, float before = 0.0f) {
  std::vector<float> out(static_cast<std::size_t>(rows.n_rows()) * static_cast<std::size_t>(matrix.out()), before);
  multiply(rows, matrix, {out.data(), matrix.out(), write}, parallel);
  return out;
}

inline Int8Matrix packed(const FloatMatrix& from, Quantisation quantisation) {
  return Int8Matrix(from, std::pmr::get_default_resource(), quantisation);
}
inline Int8Matrix packed(const FloatMatrix& gate, const FloatMatrix& up, Quantisation quantisation) {
  return Int8Matrix(gate, up, std::pmr::get_default_resource(), quantisation);
}

inline QuantisedRows quantised(const std::vector<float>& x, std::int32_t n_rows, const RowShape& shape) {
  QuantisedRows rows;
  quantise({x.data(), shape.width, n_rows}, shape, rows);
  return rows;
}

}  // namespace anabranch::linear::test
