#include "gguf_trees.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include <llama.h>

#include <anabranch/anabranch.hpp>
#include <anabranch/llama/host.hpp>
#include <anabranch/torch/causal_lm.hpp>

#include "support/random_tree.hpp"

namespace anabranch::test {
namespace {

constexpr int kSteps = 40;
constexpr std::int32_t kCells = 96;  // few, so that llama.cpp soon writes over cells that have left a window

struct Totals {
  int n_rows = 0, n_refused = 0;
  float worst = 0;
  Position longest = 0;
};

/// The calls of a Step, with random tokens.
struct RandomTokens {
  Step& step;
  std::mt19937& random;
  std::int32_t n_vocabulary;
  SequenceId create_sequence(Position first) { return step.create_sequence(first); }
  void append_unknown(SequenceId sequence, std::int32_t n) {
    std::vector<TokenId> tokens(static_cast<std::size_t>(n));
    for (TokenId& token : tokens)
      token = static_cast<TokenId>(random() % static_cast<std::mt19937::result_type>(n_vocabulary));
    step.append(sequence, tokens, Logits::all);
  }
  std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const ForkOptions& options) {
    return step.fork(parent, n, options);
  }
  void join(SequenceId parent, const std::vector<SequenceId>& children) { step.join(parent, children); }
  void rewind(SequenceId sequence, std::int32_t n_tokens) { step.rewind(sequence, n_tokens); }
  void adopt(SequenceId parent, SequenceId child) { step.adopt(parent, child); }
  void drop(SequenceId sequence) { step.drop(sequence); }
  void detach(SequenceId sequence) { step.detach(sequence); }
};

float difference(const LogitsView& a, const LogitsView& b) {
  float largest = 0;
  for (std::int32_t k = 0; k < a.n_outputs; ++k)
    for (std::size_t i = 0; i < a.row(k).size(); ++i) {
      const float d = std::abs(a.row(k)[i] - b.row(k)[i]);
      if (!(d <= largest)) largest = d;
    }
  return largest;
}

/// Without GgufModel, which wants a vocabulary of texts.
using LlamaModel = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using LlamaContext = std::unique_ptr<llama_context, decltype(&llama_free)>;

LlamaContext make_context(llama_model* model) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = kCells;
  params.n_seq_max = 24;
  params.n_threads = params.n_threads_batch = 1;
  params.kv_unified = true;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = params.type_v = GGML_TYPE_F32;
  return {llama_init_from_model(model, params), llama_free};
}

void compare_tree(torch::CausalLm& runner, llama_context* context, std::uint32_t seed, Totals& totals) {
  KvCache cache({.n_pages = kCells / 4, .page_size = 4, .max_position = 60});
  llama::Host host(context, cache);
  const std::int32_t n_vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  TreeOptions options{.mix = {.append = 6, .fork = 2, .join = 2, .drop = 1},
                      .max_sequences = 6,
                      .max_tokens = 4,
                      .policies = {Positions::longest},
                      .reach = RewindReach::tail};
  options.mix.rewind = options.mix.adopt = seed % 2 == 0 ? 1 : 0;
  RandomTree tree(seed, cache, {cache.create_sequence()}, options);
  for (int i = 0; i < kSteps; ++i) {
    Step step = cache.begin_step();
    tree.begin_step();
    RandomTokens calls{step, tree.random(), n_vocabulary};
    for (int n = 1 + tree.below(4); n > 0; --n) tree.act(calls);
    const PlanResult plan = step.plan();
    try {
      if (plan) {
        const LogitsView found = host(*plan);
        totals.worst = std::max(totals.worst, difference(runner(*plan), found));
        totals.n_rows += found.n_outputs;
        if (plan->n_rows() > 0)
          totals.longest = std::max(totals.longest, *std::max_element(plan->positions.begin(), plan->positions.end()));
        step.commit();
        host.committed();
        continue;
      }
    } catch (const Error& error) {
      if (error.status() != Status::not_exact) throw;
      ++totals.n_refused;
    }
    step.abort();
    tree.abort_step();
  }
}

}  // namespace

void compare_trees(const std::string& model, std::uint32_t first, int n) {
  torch::CausalLm runner = torch::CausalLm::load(model, {.weights = torch::Weights::float32});
  llama_backend_init();
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  const LlamaModel gguf(llama_model_load_from_file(model.c_str(), llama_model_default_params()), llama_model_free);
  if (!gguf) fail(Status::bad_file, model, ": llama.cpp cannot load it");
  const LlamaContext context = make_context(gguf.get());
  if (!context) fail(Status::internal, "llama.cpp made no context");
  Totals totals;
  for (int i = 0; i < n; ++i) compare_tree(runner, context.get(), first + static_cast<std::uint32_t>(i), totals);
  std::printf("%d %g %d %d\n", totals.n_rows, static_cast<double>(totals.worst), totals.n_refused, totals.longest);
}

}  // namespace anabranch::test
