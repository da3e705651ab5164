// Question: how far from the machine's limit are all products of a pass, with int8 weights, for 1 to 16 rows?
//
// Timed is one whole pass of products of SmolLM2-135M's shape: 30 layers of distinct weights and the head, 135 MB, so
// that nothing stays in a cache between two passes. The limit is the larger of: bytes of the weights / bandwidth of
// plain reads, and multiply-adds / the peak of the instruction in use; both are measured here, in the same run.
// ANABRANCH_SIMD=avx2 (scalar, sse4, avx512_base) measures a lesser instruction set.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include <anabranch/linear/int8_matrix.hpp>
#include <anabranch/linear/weight_memory.hpp>
#include <anabranch/simd.hpp>
#include <anabranch/thread_team.hpp>

#include "../cache/report.hpp"
#include "peaks.hpp"

namespace {

using namespace anabranch;
using namespace anabranch::bench;
using linear::Int8Matrix;
using linear::QuantisedRows;

constexpr std::int32_t kLayers = 30, kHidden = 576, kQkv = 960, kFfn = 1536, kVocabulary = 49152;
constexpr std::array kRowCounts{1, 2, 3, 4, 6, 8, 12, 16};
constexpr std::size_t kHeadline = 5;  ///< 8 rows
constexpr int kTurns = 21;

Int8Matrix random_matrix(std::int32_t out, std::int32_t in, std::pmr::memory_resource* memory) {
  static std::vector<float> weights;
  static std::mt19937 random(7);
  weights.resize(static_cast<std::size_t>(out) * static_cast<std::size_t>(in));
  for (float& w : weights) w = static_cast<float>(static_cast<std::int32_t>(random())) * 1e-11f;
  return Int8Matrix({weights.data(), nullptr, out, in}, memory);
}

struct Layer {
  Int8Matrix qkv, out, gate_up, down;
};

struct Model {
  explicit Model(std::pmr::memory_resource* m) {
    for (std::int32_t l = 0; l < kLayers; ++l)
      layers.push_back({random_matrix(kQkv, kHidden, m), random_matrix(kHidden, kHidden, m),
                        random_matrix(2 * kFfn, kHidden, m), random_matrix(kHidden, kFfn, m)});
    head = random_matrix(kVocabulary, kHidden, m);
  }
  std::vector<Layer> layers;
  Int8Matrix head;
  double bytes() const {
    std::size_t n = head.bytes();
    for (const Layer& l : layers) n += l.qkv.bytes() + l.out.bytes() + l.gate_up.bytes() + l.down.bytes();
    return static_cast<double>(n);
  }
  static double products() {
    return double{kLayers} * kHidden * (kQkv + kHidden + 3 * kFfn) + double{kVocabulary} * kHidden;
  }
};

/// The rounded rows of one row count, and the memory for their results.
struct Rows {
  explicit Rows(std::int32_t n) : result(static_cast<std::size_t>(n) * kVocabulary) {
    std::vector<float> x(static_cast<std::size_t>(n) * kFfn);
    std::mt19937 random(11);
    for (float& v : x) v = static_cast<float>(static_cast<std::int32_t>(random())) * 1e-9f;
    linear::quantise({x.data(), kFfn, n}, {kHidden}, hidden);
    linear::quantise({x.data(), kFfn, n}, {kFfn}, ffn);
  }
  QuantisedRows hidden, ffn;
  std::vector<float> result;
};

void pass(const Model& model, Rows& rows, const ParallelFor& parallel) {
  const auto product = [&](const Int8Matrix& matrix, const QuantisedRows& x) {
    linear::multiply(x, matrix, {rows.result.data(), matrix.out()}, parallel);
  };
  for (const Layer& layer : model.layers) {
    product(layer.qkv, rows.hidden);
    product(layer.out, rows.hidden);
    product(layer.gate_up, rows.hidden);
    product(layer.down, rows.ffn);
  }
  product(model.head, rows.hidden);
}

/// The figures of every turn. The limit is measured beside the time, because shared machines drift.
struct Figures {
  std::vector<double> times, limits, ratios;
};

/// Sorts.
double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  const auto n_threads = static_cast<std::int32_t>(std::min(2u, std::thread::hardware_concurrency()));
  OwnThreadTeam team(n_threads);
  const ParallelFor parallel = team.parallel();
  std::printf("How far from the machine's limit are all products of a pass with int8 weights, for 1 to 16 rows?\n");
  std::printf("machine: %s, %d threads, %s; SmolLM2-135M's shapes, 30 layers and the head; %d turns\n",
              processor().c_str(), n_threads, std::string(simd::in_use()).c_str(), kTurns);
  linear::WeightMemory memory;
  Model model(&memory);
  std::vector<Rows> rows;
  for (const int n : kRowCounts) rows.emplace_back(n);
  std::array<Figures, kRowCounts.size()> figures;
  std::vector<double> bandwidths, peaks;
  for (int turn = 0; turn < kTurns; ++turn) {
    bandwidths.push_back(bytes_per_second(parallel));
    peaks.push_back(products_per_second(parallel));
    const double reading = model.bytes() / bandwidths.back();
    const double counting = peaks.back() > 0 ? Model::products() / peaks.back() : 0;
    pass(model, rows[0], parallel);  // what the measurements above left in the caches does not count
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double start = seconds_now();
      pass(model, rows[i], parallel);
      figures[i].times.push_back((seconds_now() - start) * 1e3);
      figures[i].limits.push_back(std::max(reading, counting * kRowCounts[i]) * 1e3);
      figures[i].ratios.push_back(figures[i].times.back() / figures[i].limits.back());
    }
  }
  std::printf(
      "limits: %.1f MB of weights at %.1f GB/s; %.1f M multiply-adds a row at %.0f G/s (%s); measured every turn\n",
      model.bytes() / 1e6, median(bandwidths) / 1e9, Model::products() / 1e6, median(peaks) / 1e9,
      std::string(peak_of_products().instruction).c_str());
  std::printf("%5s %10s %9s %9s %9s %14s %9s %9s\n", "rows", "ms median", "min", "max", "limit", "time / limit", "min",
              "max");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Figures& f = figures[i];
    const double time = median(f.times), limit = median(f.limits), ratio = median(f.ratios);  // sorted from here on
    std::printf("%5d %10.2f %9.2f %9.2f %9.2f %14.2f %9.2f %9.2f\n", kRowCounts[i], time, f.times.front(),
                f.times.back(), limit, ratio, f.ratios.front(), f.ratios.back());
  }
  std::vector<double>& eight = figures[kHeadline].times;
  std::printf("products: %.2f ms (%.2f..%.2f)\n", median(eight), eight.front(), eight.back());
  return 0;
}
