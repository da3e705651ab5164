// Question: what does it cost to fork 8 branches off a trunk of 16,384 tokens and to join them again?
//
// Bar: under 5 us, and no byte of K/V written or moved. Timed are the calls `fork` and `join`, with one token decoded
// in every branch in between (not timed); beside it the same with the whole steps around them: begin, call, plan,
// commit. A step that only forks or joins has no rows and changes no slot, which is checked.
#include <vector>

#include "report.hpp"
#include "trunks.hpp"

namespace {

using namespace anabranch;
using namespace anabranch::bench;

constexpr int kBranches = 8;

enum class Timed { calls, steps };

void fork_join(benchmark::State& state, std::int32_t n_tokens, Pool pool, Timed timed) {
  Trunk trunk(n_tokens, pool);
  KvCache& cache = trunk.cache;
  const std::vector<Slot> slots = cache.slots_of(trunk.sequence);
  std::vector<SequenceId> kids(kBranches);
  std::int32_t n_rows = 0;
  const auto one_step = [&](double& spent, auto&& call) {
    const double whole = seconds([&] {
      Step step = cache.begin_step();
      const double alone = seconds([&] { call(step); });
      if (timed == Timed::calls) spent += alone;
      const PlanResult plan = step.plan();
      n_rows += plan->n_rows();
      step.commit();
    });
    if (timed == Timed::steps) spent += whole;
  };
  for (auto _ : state) {
    double spent = 0;
    one_step(spent, [&](Step& step) { step.fork(trunk.sequence, kids); });
    Step decode = cache.begin_step();
    for (const SequenceId kid : kids) decode.append_unknown(kid, 1);
    finish(decode);
    one_step(spent, [&](Step& step) { step.join(trunk.sequence, kids); });
    state.SetIterationTime(spent);
    Step back = cache.begin_step();
    back.rewind(trunk.sequence, n_tokens);
    finish(back);
  }
  check(n_rows == 0 && cache.slots_of(trunk.sequence) == slots, "a fork or a join moved K/V");
  state.counters["rows"] = n_rows;  // each would be one token's K/V
}

}  // namespace

int main(int argc, char** argv) {
  add("fork + join, trunk 16384", [](benchmark::State& s) { fork_join(s, 16384, Pool::fresh, Timed::calls); });
  add("fork + join, trunk 16384 fragmented",
      [](benchmark::State& s) { fork_join(s, 16384, Pool::fragmented, Timed::calls); });
  add("fork + join, trunk 1024", [](benchmark::State& s) { fork_join(s, 1024, Pool::fresh, Timed::calls); });
  add("fork + join, trunk 65536", [](benchmark::State& s) { fork_join(s, 65536, Pool::fresh, Timed::calls); });
  add("both whole steps, trunk 16384", [](benchmark::State& s) { fork_join(s, 16384, Pool::fresh, Timed::steps); });
  return report("What does it cost to fork 8 branches off a long trunk and to join them again?",
                "8 branches, pages of 16 slots", "fork_join", "fork + join, trunk 16384", argc, argv);
}
