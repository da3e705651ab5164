// SmolLM2 through anabranch::torch, driven by steps of a real cache.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/sampler.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "../measure.hpp"
#include "runner.hpp"

namespace anabranch::bench {
namespace {

using torch::CausalLm;
using torch::Weights;

struct WeightType {
  Weights weights;
  const char* name;
  std::vector<Instruction> instructions;  ///< that multiply it; the fastest counts
};

/// Those that the library has, int8 first.
template <class W>
std::vector<WeightType> weight_types() {
  std::vector<WeightType> types;
  if constexpr (requires { W::int8; })
    types.push_back({W::int8, "int8", {Instruction::dot_int16_256, Instruction::dot_int8_512}});
  types.push_back({W::bfloat16, "bfloat16", {Instruction::fma_float32_256, Instruction::dot_bfloat16_512}});
  types.push_back({W::float32, "float32", {Instruction::fma_float32_256, Instruction::fma_float32_512}});
  return types;
}

class Ours final : public Runner {
 public:
  Ours(const std::string& folder, WeightType type, int n_threads)
      : type_(std::move(type)), model_(CausalLm::load(folder, {.weights = type_.weights, .n_threads = n_threads})) {
    greedy_.sampling.temperature = 0.0f;
  }

  std::string name() const override { return std::string("anabranch ") + type_.name; }
  bool ours() const override { return true; }

  void set_trunk(std::int32_t n_keys) override {
    branches_.clear();
    cache_.emplace(CacheOptions{.n_pages = (n_keys + 15) / 16 + 4 * kMaxRows, .page_size = 16});
    trunk_ = cache_->create_sequence();
    read_prompt(n_keys);
  }

  void set_branches(std::int32_t n_branches) override {
    Step step = cache_->begin_step();
    for (const SequenceId branch : branches_) step.drop(branch);
    branches_ = step.fork(trunk_, n_branches);
    for (std::int32_t k = 0; k < n_branches; ++k) step.append(branches_[static_cast<std::size_t>(k)], {some_token(k)});
    run(step);
    step.commit();
    before_ = model_.times();
  }

  std::string shares() const override {
    const torch::PassTimes& now = model_.times();
    const double total = now.total - before_.total;
    const double products = (now.products - before_.products) / total;
    const double attention = (now.attention - before_.attention) / total;
    char text[160];
    std::snprintf(text, sizeof text, "products %.1f %%, attention %.1f %%, outside of both %.1f %%", 100 * products,
                  100 * attention, 100 * (1 - products - attention));
    return text;
  }

  PassTime branch_pass() override { return pass(branches_); }
  PassTime serial_pass() override { return pass({trunk_}); }

  double prefill(std::int32_t n_tokens) override {
    branches_.clear();
    cache_.emplace(CacheOptions{.n_pages = n_tokens / 16 + 2, .page_size = 16});
    model_.reserve(cache_->n_slots());
    trunk_ = cache_->create_sequence();
    return seconds([&] { read_prompt(n_tokens); });
  }

  double limit(std::int32_t n_rows, std::int32_t n_keys, const Speed& speed) const override {
    const hf::ModelConfig& c = model_.config();
    const double q_width = c.n_heads * c.head_dim, kv_width = c.n_kv_heads * c.head_dim;
    const double layer = c.hidden * (2 * q_width + 2 * kv_width + 3.0 * c.ffn);
    const double weights = c.n_layers * layer + static_cast<double>(c.vocabulary) * c.hidden;
    const double kv = 2.0 * (n_keys + 2.0 * n_rows) * kv_width * c.n_layers;
    const double scores = 4.0 * (n_keys + 2.0) * q_width * c.n_layers * n_rows;
    const double kv_bytes = static_cast<double>(element_size(model_.kv()));
    const double reading = (static_cast<double>(model_.weight_bytes()) + kv * kv_bytes) / speed.bandwidth;
    const double fma = speed.peak(Instruction::fma_float32_256);
    double peak = 0;
    for (const Instruction instruction : type_.instructions) peak = std::max(peak, speed.peak(instruction));
    if (peak == 0) return reading;
    const double of_scores = kv_bytes == 2 ? std::max(speed.peak(Instruction::dot_bfloat16_512), fma) : fma;
    const double computing = 2 * weights * n_rows / peak + scores / of_scores;
    return std::max(reading, computing);
  }

 private:
  LogitsView run(Step& step) {
    const PlanResult plan = step.plan();
    if (!plan) throw std::logic_error("the pool is too small");
    return model_(*plan);
  }

  void read_prompt(std::int32_t n_tokens) {
    std::vector<TokenId> tokens;
    for (std::int32_t begin = 0; begin < n_tokens; begin += model_.max_rows()) {
      const std::int32_t end = std::min(begin + model_.max_rows(), n_tokens);
      tokens.clear();
      for (std::int32_t i = begin; i < end; ++i) tokens.push_back(some_token(i));
      Step step = cache_->begin_step();
      step.append(trunk_, tokens, end == n_tokens ? Logits::last : Logits::none);
      take(run(step));
      step.commit();
    }
  }

  PassTime pass(const std::vector<SequenceId>& sequences) {
    const auto begin = Clock::now();
    Step step = cache_->begin_step();
    for (const SequenceId sequence : sequences) step.append(sequence, {some_token(1)}, Logits::last);
    const LogitsView logits = run(step);
    const auto end = Clock::now();
    take(logits);
    const auto end_with_next = Clock::now();
    step.abort();
    return {std::chrono::duration<double>(end - begin).count(),
            std::chrono::duration<double>(end_with_next - begin).count()};
  }

  /// By the sampler that the decoder uses.
  void take(const LogitsView& logits) {
    for (std::int32_t i = 0; i < logits.n_outputs; ++i) taken_ = sampler_(logits.row(i), greedy_);
  }

  WeightType type_;
  CausalLm model_;
  std::optional<KvCache> cache_;
  SequenceId trunk_;
  std::vector<SequenceId> branches_;
  torch::PassTimes before_;  ///< when the branches were set
  Sampler sampler_;
  OutputSettings greedy_;
  volatile TokenId taken_ = 0;
};

}  // namespace

void add_ours(const std::string& folder, const std::vector<std::string>& wanted, int n_threads, Runners& runners) {
  for (const WeightType& type : weight_types<Weights>())
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), type.name) != wanted.end())
      runners.push_back(std::make_unique<Ours>(folder, type, n_threads));
}

}  // namespace anabranch::bench
