// Measures which type of weights this CPU multiplies fastest.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <memory_resource>
#include <utility>
#include <vector>

#include <anabranch/linear/quantised_rows.hpp>

#include "fastest_type.hpp"
#include "sizes.hpp"
#include "tensors.hpp"
#include "thread_team.hpp"

namespace anabranch::torch {
namespace {

bool multiplies_bfloat16() noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;  // every CPU with amx_bf16 has it too
#else
  return false;
#endif
}

double thread_seconds() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// One layer's products in one type, and the times that they took.
struct Candidate {
  LayerTensors layer;
  TypeTimes times;
};

/// Runs the candidate's products once, with weights out of cache.
void measure(Candidate& candidate, const hf::ModelConfig& c, std::vector<char>& elsewhere) {
  constexpr std::int32_t kRows = 4;
  const std::int64_t stride = std::max({c.hidden, c.q_width() + 2 * c.kv_width(), c.ffn});
  std::vector<float> in(n_elements(kRows, stride), 1.0f), out(in.size());
  ProductScratch scratch;
  for (char& byte : elsewhere) ++byte;
  const auto begin = std::chrono::steady_clock::now();
  const double cpu_begin = thread_seconds();
  const LayerTensors& layer = candidate.layer;
  for (const Projection* p : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down})
    p->run({in.data(), stride, kRows}, {}, {out.data(), stride, Write::replace}, scratch, torch_threads());
  candidate.times.cpu.push_back(thread_seconds() - cpu_begin);
  candidate.times.wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

double least(const std::vector<double>& seconds) { return *std::min_element(seconds.begin(), seconds.end()); }

double median(std::vector<double> seconds) {
  const auto middle = seconds.begin() + std::ssize(seconds) / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

const TypeTimes& best_round(std::span<const TypeTimes> types) {
  return *std::min_element(types.begin(), types.end(),
                           [](const TypeTimes& a, const TypeTimes& b) { return least(a.wall) < least(b.wall); });
}

}  // namespace

FastestType fastest_of(std::span<const TypeTimes> types, Weights otherwise) {
  const TypeTimes& best = best_round(types);
  const auto slower = [&](const TypeTimes& other) {
    return least(other.wall) >= kClearRatio * least(best.wall) &&
           median(other.wall) >= kClearRatio * median(best.wall) && least(other.cpu) >= kClearRatio * least(best.cpu);
  };
  const auto quiet = [](const TypeTimes& type) { return median(type.wall) <= kQuietRatio * least(type.cpu); };
  for (const TypeTimes& type : types)
    if (!quiet(type) || (&type != &best && !slower(type))) return {otherwise, false};
  return {best.weights, true};
}

FastestType fastest_weights(const std::filesystem::path& folder, const hf::ModelConfig& config) {
  constexpr int kRounds = 7;
  std::vector<Candidate> candidates;
  const hf::ModelWeights source(hf::Weights::open(folder), config);
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32})
    if (weights != Weights::bfloat16 || multiplies_bfloat16()) {
      LoadReport nobody;
      WeightReader reader(source, weights, std::pmr::get_default_resource(), nobody);
      candidates.push_back({load_layer(reader, config, whole_model(config), 0), {weights, {}, {}}});
    }
  std::vector<char> elsewhere(std::size_t{48} << 20);
  for (int round = 0; round < kRounds; ++round)
    for (Candidate& candidate : candidates) measure(candidate, config, elsewhere);
  std::vector<TypeTimes> types;
  for (Candidate& candidate : candidates) types.push_back(std::move(candidate.times));
  const bool fast_int8 = linear::best_quantisation() == linear::Quantisation::per_block;
  return fastest_of(types, fast_int8 ? Weights::int8 : best_round(types).weights);
}

}  // namespace anabranch::torch
