#include <algorithm>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/error.hpp>

#include "measurements.hpp"

namespace anabranch::bench {
namespace {

void read_prompt(torch::CausalLm& model, std::int32_t n_tokens) {
  KvCache cache({.n_pages = n_tokens / 16 + 1, .page_size = 16});
  const SequenceId trunk = cache.create_sequence();
  std::vector<TokenId> tokens;
  for (std::int32_t begin = 0; begin < n_tokens; begin += model.max_rows()) {
    const std::int32_t end = std::min(begin + model.max_rows(), n_tokens);
    tokens.clear();
    for (std::int64_t i = begin; i < end; ++i)  // any tokens, not the same row of the embeddings each time
      tokens.push_back(static_cast<TokenId>(i * 7919 % model.config().vocabulary));
    Step step = cache.begin_step();
    step.append(trunk, tokens, end == n_tokens ? Logits::last : Logits::none);
    const PlanResult plan = step.plan();
    if (!plan) fail(Status::internal, "the pool for a prompt of ", n_tokens, " tokens is too small");
    model(*plan);
    step.commit();
  }
}

}  // namespace

Prefill measure_prefill(const torch::CausalLm& model, std::int32_t n_tokens, std::int32_t n_repeats) {
  torch::CausalLm own = model.with_own_slots();
  read_prompt(own, n_tokens);
  std::vector<double> times;
  for (std::int32_t i = 0; i < n_repeats; ++i) times.push_back(seconds([&] { read_prompt(own, n_tokens); }));
  return {n_tokens, spread_of(times)};
}

}  // namespace anabranch::bench
