// Measures which type of weights this CPU multiplies fastest.
#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

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

/// One layer's products in one type, and the least time that they took.
struct Candidate {
  Weights weights;
  LayerTensors layer;
  double seconds = std::numeric_limits<double>::infinity();
};

/// Runs the candidate's products once, with weights out of cache.
void measure(Candidate& candidate, const hf::ModelConfig& c, std::vector<char>& elsewhere) {
  constexpr std::int32_t kRows = 4;
  const std::int64_t stride = std::max({c.hidden, c.q_width() + 2 * c.kv_width(), c.ffn});
  std::vector<float> in(n_elements(kRows, stride), 1.0f), out(in.size());
  ProductScratch scratch;
  for (char& byte : elsewhere) ++byte;
  const auto begin = std::chrono::steady_clock::now();
  const LayerTensors& layer = candidate.layer;
  for (const Projection* p : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down})
    p->run({in.data(), stride, kRows}, {}, {out.data(), stride, Write::replace}, scratch, torch_threads());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  candidate.seconds = std::min(candidate.seconds, seconds);
}

}  // namespace

Weights fastest_weights(const std::filesystem::path& folder, const hf::ModelConfig& config) {
  std::vector<Candidate> candidates;
  const hf::ModelWeights source(hf::Weights::open(folder), config);
  for (const Weights weights : {Weights::int8, Weights::bfloat16, Weights::float32})
    if (weights != Weights::bfloat16 || multiplies_bfloat16()) {
      LoadReport nobody;
      WeightReader reader(source, weights, std::pmr::get_default_resource(), nobody);
      candidates.push_back({weights, load_layer(reader, config, 0)});
    }
  std::vector<char> elsewhere(std::size_t{48} << 20);
  for (int turn = 0; turn < 5; ++turn)
    for (Candidate& candidate : candidates) measure(candidate, config, elsewhere);
  return std::min_element(candidates.begin(), candidates.end(),
                          [](const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; })
      ->weights;
}

}  // namespace anabranch::torch
