// Question: what do answers cost while 0, 1, 2 and 4 other processes compete for the processors?
//
// Bar: beside 1, 2 and 4 busy processes the runner, which chooses its number of threads, gives at least 0.9 times the
// tokens/s of the better of one thread and all threads, and at least 8 times llama.cpp's serial tokens/s; on an idle
// machine it gives at least 0.98 times those of all threads. Chat is an answer of the shipped adapter whose branches
// are decoded at once, serial a text without branches, both int8, greedy, the prompt included. llama.cpp writes one
// sequence behind 128 tokens, its best of Q4_1 and Q8_0, flash attention off and on. All sides alternate in every
// round, and have a moment to get used to the competitors before the first one.
//
//   bench/run contention [rounds, default 5] [threads, default 2] [busy processes..., default 0 1 2 4]
//
// takes some four minutes; `bench/run contention 3 2 0` looks at the idle machine alone.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>

#include <anabranch/torch/generate.hpp>

#include "../measure.hpp"
#include "../pass_cost/runner.hpp"
#include "competitors.hpp"

namespace {

using namespace anabranch::bench;
using anabranch::Answer;
using anabranch::GenerateOptions;
using anabranch::MarkupKind;
using anabranch::ThreadUse;
using anabranch::torch::CausalLm;

constexpr std::int32_t kTrunk = 128;     // tokens before llama.cpp's
constexpr double kSecondsOfLlama = 0.5;  // of one measurement
constexpr const char* kQuestion = "What are the benefits of regular exercise?";

/// A text that is written, with its options.
struct Task {
  const char* name;
  GenerateOptions options;
};

std::vector<Task> tasks() {
  GenerateOptions chat, serial;
  chat.request.sampling.temperature = serial.request.sampling.temperature = 0.0f;
  chat.request.sampling.repetition_penalty = serial.request.sampling.repetition_penalty = 1.1f;
  serial.markup = MarkupKind::serial;
  serial.request.max_tokens = 80;
  return {{"chat", chat}, {"serial", serial}};
}

/// One way to use threads.
struct Way {
  const char* name;
  CausalLm model;
  int n_threads;
};

/// What was measured under one load: tokens/s in every round.
struct Figures {
  std::vector<std::vector<std::vector<double>>> ours;  ///< [task][way][round]
  std::vector<std::vector<double>> llama;              ///< [runner][round]
};

double median(const std::vector<double>& values) { return spread_of(values).median; }

double tokens_per_second(Way& way, const Task& task, std::string& text) {
  at::set_num_threads(way.n_threads);
  Answer answer;
  const double time = seconds([&] { answer = anabranch::torch::generate(way.model, kQuestion, task.options); });
  if (text.empty()) text = answer.text;
  if (text != answer.text) throw std::runtime_error(std::string(task.name) + ": the text depends on the threads");
  return static_cast<double>(answer.tokens.size()) / time;
}

double tokens_per_second(Runner& llama) {
  int n_tokens = 0;
  const auto begin = Clock::now();
  double time = 0;
  for (; time < kSecondsOfLlama; ++n_tokens) {
    llama.serial_pass();
    time = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return n_tokens / time;
}

Figures measure(int load, int rounds, std::vector<Way>& ways, Runners& llama) {
  static const std::vector<Task> all = tasks();
  static std::vector<std::string> texts(all.size());
  const Competitors competitors(load);
  Figures f;
  f.ours.assign(all.size(), std::vector<std::vector<double>>(ways.size()));
  f.llama.resize(llama.size());
  tokens_per_second(ways[0], all[0], texts[0]);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t t = 0; t < all.size(); ++t)
      for (std::size_t w = 0; w < ways.size(); ++w)
        f.ours[t][w].push_back(tokens_per_second(ways[w], all[t], texts[t]));
    for (std::size_t l = 0; l < llama.size(); ++l) f.llama[l].push_back(tokens_per_second(*llama[l]));
  }
  return f;
}

/// The three figures that are held against the bar.
struct Ratios {
  double to_better = 0, to_all = 0, to_llama = 0;
};

Ratios print(int load, const Figures& f, const std::vector<Way>& ways) {
  double llama = 0;
  for (const std::vector<double>& runner : f.llama) llama = std::max(llama, median(runner));
  Ratios chat;
  for (std::size_t t = 0; t < f.ours.size(); ++t) {
    std::vector<double> medians;
    std::printf("%4d  %-7s", load, tasks()[t].name);
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const Spread s = spread_of(f.ours[t][w]);
      medians.push_back(s.median);
      std::printf("  %6.1f (%5.1f..%6.1f)", s.median, s.min, s.max);
    }
    const Ratios r{medians[0] / std::max(medians[1], medians[2]), medians[0] / medians[2],
                   llama > 0 ? medians[0] / llama : 0};
    std::printf("  %6.2fx  %6.1f  %6.2fx\n", r.to_better, llama, r.to_llama);
    if (t == 0) chat = r;
  }
  return chat;
}

void bar(const std::string& what, double value, double least) {
  std::printf("  %-66s %6.2fx   bar %.2f at least: %s\n", what.c_str(), value, least,
              value >= least ? "holds" : "MISSED");
}

Runners load_llama(int n_threads) {
  Runners runners;
  for (const std::string type : {"q4_1", "q8_0"}) {
    const std::string file = std::string(ANABRANCH_MODEL_DIR) + "-" + type + ".gguf";
    if (std::filesystem::exists(file))
      add_llama({file, type, 512, n_threads}, runners);
    else
      std::printf("left out: no %s\n", file.c_str());
  }
  for (const auto& runner : runners) runner->set_trunk(kTrunk);
  return runners;
}

std::vector<Way> load_ways(int n_threads) {
  const auto load = [&](ThreadUse use) {
    return CausalLm::load(ANABRANCH_MODEL_DIR, {.weights = anabranch::torch::Weights::int8,
                                                .n_threads = n_threads,
                                                .thread_use = use,
                                                .adapter = ANABRANCH_ADAPTER_DIR});
  };
  std::vector<Way> ways;
  ways.push_back({"adaptive", load(ThreadUse::adaptive), n_threads});
  ways.push_back({"1 thread", ways[0].model.with_own_slots(), 1});
  ways.push_back({"all threads", load(ThreadUse::all), n_threads});
  return ways;
}

struct Options {
  int rounds = 5, n_threads = 2;
  std::vector<int> loads = {0, 1, 2, 4};
};

/// None: the arguments are wrong.
std::optional<Options> options_of(const std::vector<std::string>& words) {
  Options o;
  std::vector<int> numbers;
  for (const std::string& word : words) {
    int number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number < 0) return std::nullopt;
    numbers.push_back(number);
  }
  if (!numbers.empty()) o.rounds = numbers[0];
  if (numbers.size() > 1) o.n_threads = numbers[1];
  if (numbers.size() > 2) o.loads.assign(numbers.begin() + 2, numbers.end());
  if (o.rounds < 1 || o.n_threads < 2) return std::nullopt;
  return o;
}

int run(const Options& options) {
  const auto [rounds, n_threads, loads] = options;
  std::vector<Way> ways = load_ways(n_threads);
  Runners llama = load_llama(n_threads);
  std::printf("load  tokens/s");
  for (const Way& way : ways) std::printf(" %21s ", way.name);
  std::printf(" / better  llama.cpp  times\n");
  std::vector<Ratios> ratios;
  for (const int load : loads) ratios.push_back(print(load, measure(load, rounds, ways, llama), ways));
  std::printf("\nbars, chat\n");
  Ratios least{1e9, 1e9, 1e9};
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const Ratios& r = ratios[i];
    if (loads[i] == 0) {
      bar("idle: adaptive / all threads", r.to_all, 0.98);
      continue;
    }
    const std::string name = std::to_string(loads[i]) + " busy: ";
    bar(name + "adaptive / the better of one and all threads", r.to_better, 0.9);
    if (r.to_llama > 0) bar(name + "adaptive / llama.cpp's serial", r.to_llama, 8);
    least.to_better = std::min(least.to_better, r.to_better);
    least.to_llama = std::min(least.to_llama, r.to_llama);
  }
  if (least.to_better < 1e9)
    std::printf(
        "contention: %.2f x the better of one and all threads, %.1f x llama.cpp's serial, the least of the busy\n",
        least.to_better, least.to_llama);
  else
    std::printf("contention: %.2f x all threads, idle\n", ratios.front().to_all);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> options = options_of({argv + 1, argv + argc});
  if (!options) {
    std::fprintf(stderr, "usage: contention [rounds, 1 or more] [threads, 2 or more] [busy processes, 0 or more]...\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "What do answers cost while other processes compete for the processors?\n"
      "machine: %s; SmolLM2-135M, int8, %d threads; %d rounds, medians (min..max)\n",
      processor().c_str(), options->n_threads, options->rounds);
  try {
    return run(*options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
