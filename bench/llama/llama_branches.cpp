// Question: what does it cost to drive llama.cpp by step plans, and how much faster do 2, 4 and 8 branches write there
// than one sequence does?
//
// Both sides in one run, interleaved. Serial is a plain llama_decode loop with none of our code. The bookkeeping of a
// step, ours (the step, its plan, the batch made of it), is printed beside what llama.cpp spends before it computes
// anything (checking the batch, finding cells, the mask), and that of a fork and join beside its seq_cp and seq_rm.
//
//   bench/run llama_branches [repeats, default 9]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <llama.h>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/llama/gguf_model.hpp>
#include <anabranch/llama/host.hpp>

#include "../measure.hpp"

namespace {

namespace ab = anabranch;
using ab::bench::Clock;
using ab::bench::processor;
using ab::bench::Spread;
using ab::bench::spread_of;
using ab::llama::GgufModel;
using ab::llama::Host;
using Tokens = std::vector<ab::TokenId>;

constexpr int kTrunk = 384;  // tokens before the branches
constexpr int kSteps = 24;   // tokens of each branch in one measurement
const std::vector<int> kBranches = {1, 2, 4, 8};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Tokens prompt_of(int n) {
  Tokens tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(100 + (i * 7919) % 40000);
  return tokens;
}

// ---- llama.cpp alone

llama_context* make_context(const GgufModel& model, Clock::time_point* first_node) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  params.n_batch = params.n_ubatch = 512;
  params.n_seq_max = 64;
  params.n_threads = params.n_threads_batch = llama_n_threads(model.context());
  params.kv_unified = true;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.no_perf = true;
  if (first_node != nullptr) {  // told of every node before it is computed; only the first one's time is kept
    params.cb_eval = [](ggml_tensor*, bool ask, void* user) {
      auto& at = *static_cast<Clock::time_point*>(user);
      if (ask && at == Clock::time_point{}) at = Clock::now();
      return false;
    };
    params.cb_eval_user_data = first_node;
  }
  return llama_init_from_model(const_cast<llama_model*>(model.model()), params);
}

/// One token of each seq_id.
void decode(llama_context* context, const std::vector<llama_seq_id>& seq_ids, ab::Position position) {
  static std::vector<llama_token> tokens;
  std::vector<llama_pos> positions(seq_ids.size(), position);
  std::vector<std::int32_t> ones(seq_ids.size(), 1);
  std::vector<std::int8_t> wanted(seq_ids.size(), 1);
  std::vector<llama_seq_id> ids = seq_ids;
  std::vector<llama_seq_id*> lists;
  tokens.assign(seq_ids.size(), 1000 + position);
  for (llama_seq_id& id : ids) lists.push_back(&id);
  if (llama_decode(context, {static_cast<std::int32_t>(seq_ids.size()), tokens.data(), nullptr, positions.data(),
                             ones.data(), lists.data(), wanted.data()}) != 0)
    std::abort();
  llama_synchronize(context);
}

/// Tokens per second of a plain loop over one sequence.
double serial(llama_context* context) {
  llama_memory_t memory = llama_get_memory(context);
  llama_memory_clear(memory, false);
  Tokens prompt = prompt_of(kTrunk);
  if (llama_decode(context, llama_batch_get_one(prompt.data(), kTrunk)) != 0) std::abort();
  llama_synchronize(context);
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < kSteps; ++i) decode(context, {0}, kTrunk + i);
  return kSteps / seconds_since(begin);
}

/// The seconds that llama.cpp spends before the first node of a step over `n` branches, and on seq_cp and seq_rm for
/// one fork and join.
void bookkeeping_of_llama(llama_context* context, int n, Clock::time_point& first_node, double& per_step,
                          double& fork_join) {
  llama_memory_t memory = llama_get_memory(context);
  llama_memory_clear(memory, false);
  Tokens prompt = prompt_of(kTrunk);
  if (llama_decode(context, llama_batch_get_one(prompt.data(), kTrunk)) != 0) std::abort();
  Clock::time_point begin = Clock::now();
  std::vector<llama_seq_id> seq_ids;
  for (int k = 1; k <= n; ++k) {
    llama_memory_seq_cp(memory, 0, k, 0, kTrunk);
    seq_ids.push_back(k);
  }
  fork_join = seconds_since(begin);
  std::vector<double> before;
  for (int i = 0; i < kSteps; ++i) {
    first_node = {};
    begin = Clock::now();
    decode(context, seq_ids, kTrunk + i);
    before.push_back(std::chrono::duration<double>(first_node - begin).count());
  }
  per_step = spread_of(before).median;
  begin = Clock::now();
  for (int k = 1; k <= n; ++k) llama_memory_seq_cp(memory, k, 0, kTrunk, kTrunk + kSteps);
  for (int k = 1; k <= n; ++k) llama_memory_seq_rm(memory, k, -1, -1);
  fork_join += seconds_since(begin);
}

// ---- llama.cpp driven

struct Driven {
  double tokens_per_second = 0;
  double per_step = 0;   ///< ours, per decoding step
  double fork_join = 0;  ///< ours, for the steps that fork and join
};

Driven branches(const GgufModel& model, int n) {
  ab::KvCache cache(ab::llama::cache_options(model.context()));
  Host host(model.context(), cache);
  const ab::SequenceId trunk = cache.create_sequence();
  double in_cache = 0;
  std::vector<ab::SequenceId> kids;
  const auto pass = [&](const std::function<void(ab::Step&)>& fill) {
    Clock::time_point begin = Clock::now();
    ab::Step step = cache.begin_step();
    fill(step);
    const ab::PlanResult plan = step.plan();
    if (!plan) std::abort();
    in_cache += seconds_since(begin);
    host(*plan);
    begin = Clock::now();
    step.commit();
    in_cache += seconds_since(begin);
    host.committed();
  };
  const auto ours = [&] { return in_cache + host.statistics().planning_seconds; };
  Driven result;
  pass([&](ab::Step& step) { step.append(trunk, prompt_of(kTrunk), ab::Logits::last); });
  double before = ours();
  pass([&](ab::Step& step) { kids = step.fork(trunk, n, {.positions = ab::Positions::longest}); });
  result.fork_join = ours() - before;
  before = ours();
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < kSteps; ++i)
    pass([&](ab::Step& step) {
      for (const ab::SequenceId kid : kids) step.append(kid, {1000 + kTrunk + i}, ab::Logits::last);
    });
  result.tokens_per_second = n * kSteps / seconds_since(begin);
  result.per_step = (ours() - before) / kSteps;
  before = ours();
  pass([&](ab::Step& step) { step.join(trunk, kids); });
  result.fork_join += ours() - before;
  return result;
}

// ---- the run

struct Measured {
  std::map<std::string, std::vector<double>> values;
  void add(const std::string& name, double value) { values[name].push_back(value); }
  void print(const char* format, const std::string& name, double unit) const {
    const Spread s = spread_of(values.at(name));
    std::printf(format, name.c_str(), s.median * unit, s.min * unit, s.max * unit);
  }
};

void measure(const GgufModel& model, int n_repeats, Measured& all) {
  Clock::time_point first_node;
  llama_context* plain = make_context(model, nullptr);
  llama_context* watched = make_context(model, &first_node);
  for (int repeat = 0; repeat < n_repeats; ++repeat) {
    const double alone = serial(plain);
    all.add("serial", alone);
    for (const int n : kBranches) {
      const Driven driven = branches(model, n);
      double per_step = 0, fork_join = 0;
      bookkeeping_of_llama(watched, n, first_node, per_step, fork_join);
      const std::string name = std::to_string(n) + (n == 1 ? " branch" : " branches");
      all.add(name, driven.tokens_per_second);
      all.add(name + " / serial", driven.tokens_per_second / alone);
      all.add("a step of " + name + ": ours", driven.per_step);
      all.add("a step of " + name + ": llama.cpp before it computes", per_step);
      all.add("fork and join of " + name + ": ours", driven.fork_join);
      all.add("fork and join of " + name + ": llama.cpp's seq_cp, seq_rm", fork_join);
    }
  }
  llama_free(plain);
  llama_free(watched);
}

}  // namespace

int main(int argc, char** argv) {
  const int n_repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  if (n_repeats < 1) return std::fprintf(stderr, "repeats: 1 or more, not '%s'\n", argv[1]), 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf("What does it cost to drive llama.cpp by step plans, and what do branches gain there?\n");
  double headline[3] = {0, 0, 0};
  for (const std::string type : {"q4_1", "q8_0", "f32"}) {
    const std::string file = std::string(GGUF_PREFIX) + "-" + type + ".gguf";
    if (!std::filesystem::exists(file)) {
      std::printf("left out: no %s\n", file.c_str());
      continue;
    }
    const GgufModel model = GgufModel::load(file, {.n_cells = 1024});
    if (type == "q4_1")
      std::printf("machine: %s, %d threads; SmolLM2-135M, trunk of %d tokens, %d tokens a branch; %d repeats\n",
                  processor().c_str(), llama_n_threads(model.context()), kTrunk, kSteps, n_repeats);
    Measured all;
    measure(model, n_repeats, all);
    std::printf("\n%s%-32s %9s %9s %9s\n", type.c_str(), " tokens/s", "median", "min", "max");
    all.print("  %-32s %9.1f %9.1f %9.1f\n", "serial", 1);
    for (const int n : kBranches) {
      const std::string name = std::to_string(n) + (n == 1 ? " branch" : " branches");
      all.print("  %-32s %9.1f %9.1f %9.1f\n", name, 1);
      all.print("  %-32s %9.2f %9.2f %9.2f\n", name + " / serial", 1);
    }
    if (type == "q8_0") {
      std::printf("\nus of bookkeeping%-49s %9s %9s %9s\n", "", "median", "min", "max");
      for (const auto& [name, values] : all.values)
        if (name.find(": ") != std::string::npos) all.print("  %-64s %9.1f %9.1f %9.1f\n", name, 1e6);
      const Spread s = spread_of(all.values.at("8 branches / serial"));
      headline[0] = s.median;
      headline[1] = s.min;
      headline[2] = s.max;
    }
  }
  std::printf("llama_branches: %.2f x serial with 8 branches, q8_0 (%.2f..%.2f)\n", headline[0], headline[1],
              headline[2]);
  return 0;
}
