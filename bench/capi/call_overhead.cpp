// Question: what does going through C cost a caller who forks 8 branches and joins them, or who plans a step?
//
// Bar: fork + join through C within 1.5x of C++. Both sides do the same to caches of the same shape, taking turns
// within every iteration, so that drifts of the machine hit both; each repetition takes the median of thousands of
// turns on either side, which leaves out those that something else interrupted, and gives one ratio. Timed as in
// bench/cache: the calls `fork` and `join` alone, with one token decoded in every branch in between (not timed), and
// for step_plan the call `plan` alone. Beside both the whole steps around them.
//
// The C side is the shared library, as an embedding runtime has it: every call looks its handle up. The C++ side is
// the header-only core, compiled into this program.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "anabranch.h"

#include "../cache/report.hpp"
#include "../cache/trunks.hpp"

namespace {

using namespace anabranch;
using namespace anabranch::bench;

constexpr int kBranches = 8;
constexpr std::int32_t kTrunkTokens = 16384;
constexpr int kTurns = 20000, kPlansBetweenShortening = 200;
/// The time of reading the clock, which would make a ratio look better than it is.
double g_clock = 0;

/// Seconds that `work` takes.
template <class Work>
double timed(Work&& work) {
  return seconds(work) - g_clock;
}

constexpr std::int32_t kPages = 3 * kTrunkTokens / 16 + 512;

void ok(anb_status status) {
  if (status != ANB_OK) check(false, anb_last_error());
}

/// Seconds of one turn: what was asked about, and the whole steps around it.
struct Cost {
  double calls = 0, steps = 0;
};

/// The core, as C++ uses it.
class Cpp {
 public:
  Cpp() : cache_({.n_pages = kPages, .page_size = 16}), trunk_(cache_.create_sequence()), kids_(kBranches) {
    Step step = cache_.begin_step();
    step.append_unknown(trunk_, kTrunkTokens);
    finish(step);
  }
  Cost fork_join() {
    Cost cost;
    step(cost, [&](Step& s) { s.fork(trunk_, kids_); });
    decode();
    step(cost, [&](Step& s) { s.join(trunk_, kids_); });
    Step back = cache_.begin_step();
    back.rewind(trunk_, kTrunkTokens);
    finish(back);
    return cost;
  }
  void fork() {
    Step s = cache_.begin_step();
    s.fork(trunk_, kids_);
    for (const SequenceId kid : kids_) s.append_unknown(kid, 3);
    finish(s);
  }
  Cost plan() {
    if (n_plans_ == 0) fork();
    if (++n_plans_ % kPlansBetweenShortening == 0) shorten();
    Cost cost;
    cost.steps = timed([&] {
      Step s = cache_.begin_step();
      for (const SequenceId kid : kids_) s.append(kid, {1}, Logits::last);
      cost.calls = timed([&] { check(static_cast<bool>(s.plan()), "the pool is too small"); });
      s.commit();
    });
    return cost;
  }

 private:
  void shorten() {
    Step s = cache_.begin_step();
    for (const SequenceId kid : kids_) s.rewind(kid, kTrunkTokens + 3);
    finish(s);
  }
  template <class Call>
  void step(Cost& cost, Call&& call) {
    cost.steps += timed([&] {
      Step s = cache_.begin_step();
      cost.calls += timed([&] { call(s); });
      finish(s);
    });
  }
  void decode() {
    Step s = cache_.begin_step();
    for (const SequenceId kid : kids_) s.append_unknown(kid, 1);
    finish(s);
  }

  KvCache cache_;
  SequenceId trunk_;
  std::vector<SequenceId> kids_;
  int n_plans_ = 0;
};

/// The same through libanabranch.so.
class C {
 public:
  C() : kids_(kBranches) {
    anb_cache_options options = ANB_CACHE_OPTIONS_INIT;
    options.n_pages = kPages;
    ok(anb_cache_create(&options, &cache_));
    anb_step* s = begin();
    ok(anb_step_create_sequence(s, 0, &trunk_));
    ok(anb_step_append_unknown(s, trunk_, kTrunkTokens, ANB_LOGITS_NONE));
    finish_step(s);
  }
  ~C() { anb_cache_destroy(cache_); }
  C(const C&) = delete;
  C& operator=(const C&) = delete;
  Cost fork_join() {
    Cost cost;
    step(cost, [&](anb_step* s) { ok(anb_step_fork(s, trunk_, kBranches, ANB_POSITIONS_SEQUENTIAL, kids_.data())); });
    decode();
    step(cost, [&](anb_step* s) { ok(anb_step_join(s, trunk_, kids_.data(), kBranches)); });
    anb_step* back = begin();
    ok(anb_step_rewind(back, trunk_, kTrunkTokens));
    finish_step(back);
    return cost;
  }
  void fork() {
    anb_step* s = begin();
    ok(anb_step_fork(s, trunk_, kBranches, ANB_POSITIONS_SEQUENTIAL, kids_.data()));
    for (const anb_sequence kid : kids_) ok(anb_step_append_unknown(s, kid, 3, ANB_LOGITS_NONE));
    finish_step(s);
  }
  Cost plan() {
    if (n_plans_ == 0) fork();
    if (++n_plans_ % kPlansBetweenShortening == 0) shorten();
    static constexpr anb_token kToken = 1;
    Cost cost;
    cost.steps = timed([&] {
      anb_step* s = begin();
      for (const anb_sequence kid : kids_) ok(anb_step_append(s, kid, &kToken, 1, ANB_LOGITS_LAST));
      anb_plan plan = ANB_PLAN_INIT;
      cost.calls = timed([&] { ok(anb_step_plan(s, &plan)); });
      ok(anb_step_commit(s));
    });
    return cost;
  }

 private:
  void shorten() {
    anb_step* s = begin();
    for (const anb_sequence kid : kids_) ok(anb_step_rewind(s, kid, kTrunkTokens + 3));
    finish_step(s);
  }
  anb_step* begin() {
    anb_step* s = nullptr;
    ok(anb_step_begin(cache_, &s));
    return s;
  }
  static void finish_step(anb_step* s) {
    anb_plan plan = ANB_PLAN_INIT;
    ok(anb_step_plan(s, &plan));
    ok(anb_step_commit(s));
  }
  template <class Call>
  void step(Cost& cost, Call&& call) {
    cost.steps += timed([&] {
      anb_step* s = begin();
      cost.calls += timed([&] { call(s); });
      finish_step(s);
    });
  }
  void decode() {
    anb_step* s = begin();
    for (const anb_sequence kid : kids_) ok(anb_step_append_unknown(s, kid, 1, ANB_LOGITS_NONE));
    finish_step(s);
  }

  anb_cache* cache_ = nullptr;
  anb_sequence trunk_ = 0;
  std::vector<anb_sequence> kids_;
  int n_plans_ = 0;
};

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

/// All repetitions of one question: microseconds of both sides, and their ratios.
struct Series {
  std::vector<double> c, cpp, ratio;
  /// Of all turns of one repetition.
  void add(const Spread& c_seconds, const Spread& cpp_seconds) {
    c.push_back(c_seconds.median * 1e6);
    cpp.push_back(cpp_seconds.median * 1e6);
    ratio.push_back(c_seconds.median / cpp_seconds.median);
  }
  Spread print(const char* name) const {
    const Spread a = spread(c), b = spread(cpp), r = spread(ratio);
    std::printf("%-34s %8.3f (%.3f..%.3f) %8.3f (%.3f..%.3f) %6.2f (%.2f..%.2f)\n", name, a.median, a.min, a.max,
                b.median, b.min, b.max, r.median, r.min, r.max);
    return r;
  }
};

/// Both sides take turns, and who is first takes turns too. `turn(side)` gives its cost.
template <class Turn>
void repeat(C& c, Cpp& cpp, Series& calls, Series& steps, Turn&& turn) {
  std::vector<double> c_calls, c_steps, cpp_calls, cpp_steps;
  const auto keep = [](const Cost& cost, std::vector<double>& of_calls, std::vector<double>& of_steps) {
    of_calls.push_back(cost.calls);
    of_steps.push_back(cost.steps);
  };
  for (int i = 0; i < 2 * kTurns; ++i)
    if (i % 4 == 0 || i % 4 == 3)
      keep(turn(c), c_calls, c_steps);
    else
      keep(turn(cpp), cpp_calls, cpp_steps);
  calls.add(spread(std::move(c_calls)), spread(std::move(cpp_calls)));
  steps.add(spread(std::move(c_steps)), spread(std::move(cpp_steps)));
}

/// The question `turn`, after one repetition that does not count.
template <class Turn>
void measure(Series& calls, Series& steps, Turn&& turn) {
  C c;
  Cpp cpp;
  Series warm_calls, warm_steps;
  repeat(c, cpp, warm_calls, warm_steps, turn);
  for (int i = 0; i < kRepeats; ++i) repeat(c, cpp, calls, steps, turn);
}

double clock_cost() {
  std::vector<double> costs(10001);
  for (double& cost : costs) cost = seconds([] {});
  std::nth_element(costs.begin(), costs.begin() + 5000, costs.end());
  return costs[5000];
}

}  // namespace

int main() {
  std::printf("What does going through C cost a caller who forks, joins and plans?\n");
  g_clock = clock_cost();
  std::printf(
      "machine: %s, %u cores; %d branches on a trunk of %d tokens, pages of 16; %d repeats of %d turns; reading the "
      "clock takes %.0f ns, which are taken off\n",
      processor().c_str(), std::thread::hardware_concurrency(), kBranches, kTrunkTokens, kRepeats, kTurns,
      g_clock * 1e9);
  Series calls, steps, plans, plan_steps;
  measure(calls, steps, [](auto& side) { return side.fork_join(); });
  measure(plans, plan_steps, [](auto& side) { return side.plan(); });
  std::printf("%-34s %23s %25s %21s\n", "us, median (min..max)", "C", "C++", "ratio");
  const Spread figure = calls.print("fork + join");
  steps.print("fork + join, both whole steps");
  plans.print("step_plan");
  plan_steps.print("8 appends, plan, whole step");
  std::printf("capi_overhead: %.2f x (%.2f..%.2f)\n", figure.median, figure.min, figure.max);
  return 0;
}
