// Question: what does it cost to plan a decoding step of 8 branches on a trunk of 16,384 tokens?
//
// Bar: under 5 us and under 2 KB of new metadata, on a fresh pool and on one where every page stands alone, and no
// growth with the trunk. Timed is `plan()` alone; beside it the whole step: begin, 8 appends, plan, commit. Metadata is
// what a host has to look at anew in a step: the bytes of all arrays of the plan (rows, outputs, groups, views,
// host operations). Slot runs are not among them: they live with their segments, and a step adds at most one
// run of 12 bytes per branch.
#include <vector>

#include "report.hpp"
#include "trunks.hpp"

namespace {

using namespace anabranch;
using namespace anabranch::bench;

constexpr int kBranches = 8;

enum class Timed { plan, step };

double plan_bytes(const StepPlan& plan) {
  const std::size_t bytes =
      plan.tokens.size_bytes() + plan.positions.size_bytes() + plan.slots.size_bytes() + plan.sequences.size_bytes() +
      plan.outputs.size_bytes() + plan.groups.size_bytes() + plan.views.size_bytes() + plan.ops_before.size_bytes() +
      plan.ops_after_commit.size_bytes() + static_cast<std::size_t>(plan.n_rows()) * sizeof(SlotRun);
  return static_cast<double>(bytes);
}

/// One step of all branches; returns the seconds asked for.
double decode(KvCache& cache, const std::vector<SequenceId>& sequences, Timed timed) {
  double alone = 0;
  const double whole = seconds([&] {
    Step step = cache.begin_step();
    for (const SequenceId sequence : sequences) step.append(sequence, {1}, Logits::last);
    alone = seconds([&] { check(static_cast<bool>(step.plan()), "the pool is too small"); });
    step.commit();
  });
  return timed == Timed::plan ? alone : whole;
}

void note_plan(KvCache& cache, const std::vector<SequenceId>& sequences, benchmark::State& state) {
  Step step = cache.begin_step();
  for (const SequenceId sequence : sequences) step.append(sequence, {1}, Logits::last);
  const PlanResult plan = step.plan();
  state.counters["bytes"] = plan_bytes(*plan);
  state.counters["groups"] = static_cast<double>(plan->groups.size());
}

void shorten(KvCache& cache, const std::vector<SequenceId>& sequences, const std::vector<std::int32_t>& tokens) {
  Step step = cache.begin_step();
  for (std::size_t k = 0; k < sequences.size(); ++k) step.rewind(sequences[k], tokens[k]);
  finish(step);
}

/// Decodes on; sequences are cut back now and then, so that the pool is never used up.
void measure(benchmark::State& state, KvCache& cache, const std::vector<SequenceId>& sequences, Timed timed) {
  std::vector<std::int32_t> tokens;
  for (const SequenceId sequence : sequences) tokens.push_back(cache.n_tokens(sequence));
  int steps = 0;
  for (auto _ : state) {
    state.SetIterationTime(decode(cache, sequences, timed));
    if (++steps % 200 == 0) shorten(cache, sequences, tokens);
  }
  note_plan(cache, sequences, state);
}

void branches(benchmark::State& state, std::int32_t n_tokens, Pool pool, Timed timed) {
  Trunk trunk(n_tokens, pool);
  Step step = trunk.cache.begin_step();
  const std::vector<SequenceId> kids = step.fork(trunk.sequence, kBranches);
  for (const SequenceId kid : kids) step.append_unknown(kid, 3);
  finish(step);
  measure(state, trunk.cache, kids, timed);
}

/// Serial decoding behind 20 joined blocks of 8 branches.
void joined_blocks(benchmark::State& state) {
  KvCache cache({.n_pages = 4096, .page_size = 16});
  const SequenceId sequence = cache.create_sequence();
  for (int block = 0; block < 20; ++block) {
    Step step = cache.begin_step();
    step.append_unknown(sequence, 30);
    const std::vector<SequenceId> kids = step.fork(sequence, kBranches);
    for (const SequenceId kid : kids) step.append_unknown(kid, 40);
    finish(step);
    Step join = cache.begin_step();
    join.join(sequence, kids);
    finish(join);
  }
  Step step = cache.begin_step();
  const std::vector<SequenceId> kids = step.fork(sequence, kBranches);
  for (const SequenceId kid : kids) step.append_unknown(kid, 3);
  finish(step);
  measure(state, cache, kids, Timed::plan);
  check(state.counters["groups"] < 20, "20 joined blocks make 20 groups or more");
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int32_t n : {1024, 4096, 16384, 65536}) {
    add("plan, trunk " + std::to_string(n), [n](benchmark::State& s) { branches(s, n, Pool::fresh, Timed::plan); });
    add("plan, trunk " + std::to_string(n) + " fragmented",
        [n](benchmark::State& s) { branches(s, n, Pool::fragmented, Timed::plan); });
  }
  add("whole step, trunk 16384", [](benchmark::State& s) { branches(s, 16384, Pool::fresh, Timed::step); });
  add("whole step, trunk 16384 fragmented",
      [](benchmark::State& s) { branches(s, 16384, Pool::fragmented, Timed::step); });
  add("plan, 8 branches behind 20 joined blocks of 8", joined_blocks);
  return report("What does it cost to plan a decoding step of 8 branches on a long trunk?",
                "8 branches, one token each, pages of 16 slots", "step_plan", "plan, trunk 16384", argc, argv);
}
