// Question: what does a pass of SmolLM2 cost with 1 to 16 branches, against the machine's limit and llama.cpp?
//
// Both sides in one run, in turns, on the same threads: ours with every weight type, llama.cpp with Q8_0 and Q4_1,
// flash attention off and on, its best counted. A pass reads one new token of every branch over a shared trunk;
// tokens/s count the time until the likeliest next token of each is known too: by the decoder's sampler on our side, by
// a plain search on llama.cpp's. The limit is of the pass alone, the larger of two times: reading the weights and K/V
// once, and multiplying for all rows, at the speeds measured beside.
//
//   bench/run pass_cost                                  everything: some ten minutes
//   bench/run pass_cost --keys 512 --rows 8 --prefill 0 --weights int8        a minute
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "../measure.hpp"
#include "runner.hpp"

namespace {

using namespace anabranch::bench;

struct Options {
  std::vector<std::int32_t> keys = {512, 4096};
  std::vector<std::int32_t> rows = {1, 2, 4, 6, 8, 12, 16};
  std::vector<std::string> weights;                  // empty: all
  std::vector<std::string> gguf = {"q8_0", "q4_1"};  // empty: without llama.cpp
  std::int32_t prefill = 2048;
  int rounds = 10, prefill_rounds = 3, n_threads = 2;
};

/// The times of one runner in every round.
struct Timed {
  std::string name;
  bool ours = false;
  std::int32_t n_tokens = 1;        ///< tokens that a pass gives
  std::vector<double> times;        ///< seconds, until the next tokens are known
  std::vector<double> model_times;  ///< seconds, until the logits are there
  std::vector<double> limits;       ///< of the latter; 0: not known
  std::string shares;               ///< where the time of the passes went
  double tokens_per_second() const { return n_tokens / spread_of(times).median; }
};

/// One section of the bench: the same work done by all.
struct Section {
  std::int32_t n_keys = 0, n_rows = 0;
  std::vector<Timed> all, serial;  ///< `serial` is llama.cpp's one sequence, in the same rounds
};

const Timed* best(const std::vector<Timed>& all, bool ours) {
  const Timed* found = nullptr;
  for (const Timed& t : all)
    if (t.ours == ours && (found == nullptr || t.tokens_per_second() > found->tokens_per_second())) found = &t;
  return found;
}

/// How many times more tokens per second `one` gives, round by round.
Spread faster(const Timed& one, const Timed& other) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < one.times.size(); ++i)
    ratios.push_back(one.n_tokens / one.times[i] / (other.n_tokens / other.times[i]));
  return spread_of(ratios);
}

Spread over_limit(const Timed& t) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < t.model_times.size(); ++i) ratios.push_back(t.model_times[i] / t.limits[i]);
  return spread_of(ratios);
}

void print(const std::vector<Timed>& all) {
  std::printf("  %-32s %9s %9s %9s %9s %9s %9s %9s %9s\n", "ms", "min", "median", "max", "and next", "tokens/s",
              "limit", "min / it", "median");
  for (const Timed& t : all) {
    const Spread s = spread_of(t.model_times);
    std::printf("  %-32s %9.3f %9.3f %9.3f %9.3f %9.1f", t.name.c_str(), s.min * 1e3, s.median * 1e3, s.max * 1e3,
                spread_of(t.times).median * 1e3, t.tokens_per_second());
    if (!t.limits.empty() && t.limits.front() > 0) {
      const Spread over = over_limit(t);
      std::printf(" %9.3f %9.2f %9.2f", spread_of(t.limits).median * 1e3, over.min, over.median);
    }
    std::printf("\n");
    if (!t.shares.empty()) std::printf("    %s\n", t.shares.c_str());
  }
}

/// A warm-up and two measurements, after a pause in which the threads of whoever was before go to sleep.
template <class Pass>
void take_turn(Pass&& pass, Timed& timed) {
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  pass();
  for (int i = 0; i < 2; ++i) {
    const PassTime time = pass();
    timed.times.push_back(time.with_next);
    timed.model_times.push_back(time.model);
  }
}

Section measure_passes(Runners& runners, std::int32_t n_keys, std::int32_t n_rows, int rounds, Machine& machine,
                       int n_threads) {
  Section section{n_keys, n_rows, {}, {}};
  for (const auto& runner : runners) {
    runner->set_branches(n_rows);
    section.all.push_back({runner->name(), runner->ours(), n_rows, {}, {}, {}, {}});
    section.serial.push_back({runner->name() + ", serial", runner->ours(), 1, {}, {}, {}, {}});
  }
  Speed before = machine.measure(n_threads);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t turn = 0; turn < runners.size(); ++turn) {
      const std::size_t i = (turn + static_cast<std::size_t>(round)) % runners.size();
      Runner& runner = *runners[i];
      take_turn([&] { return runner.branch_pass(); }, section.all[i]);
      if (!runner.ours()) take_turn([&] { return runner.serial_pass(); }, section.serial[i]);
    }
    const Speed after = machine.measure(n_threads);
    for (std::size_t i = 0; i < runners.size(); ++i)
      section.all[i].limits.resize(section.all[i].times.size(),
                                   runners[i]->limit(n_rows, n_keys, better_of(before, after)));
    before = after;
  }
  for (std::size_t i = 0; i < runners.size(); ++i) section.all[i].shares = runners[i]->shares();
  std::erase_if(section.serial, [](const Timed& t) { return t.ours; });
  return section;
}

void print(const Section& section) {
  std::printf("\n%d keys, %d row%s\n", section.n_keys, section.n_rows, section.n_rows == 1 ? "" : "s");
  std::vector<Timed> all = section.all;
  if (const Timed* serial = best(section.serial, false)) all.push_back(*serial);
  print(all);
}

Section measure_prefill(Runners& runners, std::int32_t n_tokens, int rounds, Machine& machine, int n_threads) {
  Section section{0, n_tokens, {}, {}};
  for (const auto& runner : runners) section.all.push_back({runner->name(), runner->ours(), n_tokens, {}, {}, {}, {}});
  Speed before = machine.measure(n_threads);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < runners.size(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      section.all[i].times.push_back(runners[i]->prefill(n_tokens));
      section.all[i].model_times.push_back(section.all[i].times.back());
    }
    const Speed after = machine.measure(n_threads);
    for (std::size_t i = 0; i < runners.size(); ++i)  // a row sees half of the keys on the average
      section.all[i].limits.push_back(runners[i]->limit(n_tokens, n_tokens / 2, better_of(before, after)));
    before = after;
  }
  return section;
}

void bar(const std::string& what, const Spread& s, double value, double bound) {
  const bool most = bound < 0;  // a negative bound: at most its magnitude
  const bool holds = most ? value <= -bound : value >= bound;
  std::printf("  %-58s %5.2fx (%.2f..%.2f)   bar %.2f at %s: %s\n", what.c_str(), value, s.min, s.max,
              most ? -bound : bound, most ? "most" : "least", holds ? "holds" : "MISSED");
}

void print_bars(const Section& section) {
  const Timed* ours = best(section.all, true);
  if (ours == nullptr || section.n_keys != 512) return;
  const std::string rows = std::to_string(section.n_rows) + (section.n_rows == 1 ? " row, " : " rows, ") + ours->name;
  const Spread over = over_limit(*ours);
  bar(rows + ": best / limit", over, over.min, -1.6);
  bar(rows + ": median / limit", over, over.median, -2.0);
  const Timed* serial = best(section.serial, false);
  const Timed* batch = best(section.all, false);
  if (serial == nullptr) return;
  const Spread to_serial = faster(*ours, *serial), to_batch = faster(*ours, *batch);
  if (section.n_rows == 1) bar("  tokens/s of " + serial->name, to_serial, to_serial.median, 1.3);
  if (section.n_rows != 8) return;
  bar("  tokens/s of " + serial->name, to_serial, to_serial.median, 5);
  bar("  tokens/s of " + batch->name + ", 8 sequences", to_batch, to_batch.median, 3);
}

void print_prefill_bar(const Section& section) {
  const Timed* ours = best(section.all, true);
  const Timed* theirs = best(section.all, false);
  if (ours == nullptr || theirs == nullptr) return;
  const Spread s = faster(*ours, *theirs);
  bar("prefill of " + std::to_string(section.n_rows) + ", " + ours->name + " / " + theirs->name, s, s.median, 1);
}

void print_headline(const std::vector<Section>& sections) {
  for (const Section& section : sections) {
    const Timed* ours = best(section.all, true);
    const Timed* serial = best(section.serial, false);
    if (section.n_keys != 512 || section.n_rows != 8 || ours == nullptr || serial == nullptr) continue;
    const Spread s = faster(*ours, *serial);
    std::printf("pass_cost: %.2f x llama.cpp's serial tokens/s with 8 branches, %s (%.2f..%.2f)\n", s.median,
                ours->name.c_str(), s.min, s.max);
  }
}

int measure(const Options& options) {
  Machine machine;
  Runners runners;
  add_ours(ANABRANCH_MODEL_DIR, options.weights, options.n_threads, runners);
  for (const std::string& type : options.gguf)
    add_llama({std::string(ANABRANCH_MODEL_DIR) + "-" + type + ".gguf", type, 512, options.n_threads}, runners);
  std::vector<Section> sections;
  for (const std::int32_t n_keys : options.keys) {
    for (const auto& runner : runners) runner->set_trunk(n_keys);
    for (const std::int32_t n_rows : options.rows) {
      sections.push_back(measure_passes(runners, n_keys, n_rows, options.rounds, machine, options.n_threads));
      print(sections.back());
    }
  }
  Section prefill;
  if (options.prefill > 0) {
    for (const std::string& type : options.gguf)
      add_llama({std::string(ANABRANCH_MODEL_DIR) + "-" + type + ".gguf", type, 2048, options.n_threads}, runners);
    prefill = measure_prefill(runners, options.prefill, options.prefill_rounds, machine, options.n_threads);
    std::printf("\nprefill of %d tokens\n", options.prefill);
    print(prefill.all);
  }
  std::printf("\n");
  machine.print();
  std::printf("\nbars\n");
  for (const Section& section : sections) print_bars(section);
  print_prefill_bar(prefill);
  print_headline(sections);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What does a pass of SmolLM2 cost with 1 to 16 branches, against the machine's limit and llama.cpp?");
  app.add_option("--keys", options.keys, "tokens of the trunk; 0: none")->delimiter(',')->check(CLI::Range(0, 7168));
  app.add_option("--rows", options.rows, "branches")->delimiter(',')->check(CLI::Range(1, kMaxRows));
  app.add_option("--weights", options.weights, "types on our side: int8, bfloat16, float32")->delimiter(',');
  app.add_option("--gguf", options.gguf, "types on llama.cpp's side: q8_0, q4_1")->delimiter(',');
  app.add_option("--prefill", options.prefill, "tokens of the prompt; 0: none")->check(CLI::Range(0, 7168));
  app.add_option("--rounds", options.rounds, "of two measurements each")->check(CLI::Range(1, 1000));
  app.add_option("--prefill-rounds", options.prefill_rounds, "of one measurement each")->check(CLI::Range(1, 1000));
  app.add_option("--threads", options.n_threads, "of both sides")->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  std::erase(options.keys, 0);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "What does a pass of SmolLM2 cost with 1 to 16 branches, against the machine's limit and llama.cpp?\n"
      "machine: %s, %d threads; SmolLM2-135M; %d measurements each\n",
      processor().c_str(), options.n_threads, 2 * options.rounds);
  try {
    return measure(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
