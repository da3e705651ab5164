// Random steps on a cache, real or restored from something odd, and what must hold in each of them.
#pragma once

#include <cstdint>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "input.hpp"

namespace fuzz {

class SnapshotCalls {
 public:
  SnapshotCalls(Input& input, anabranch::KvCache& cache) : input_(input), cache_(cache) {}

  /// One step of up to `n` calls, planned, and committed or aborted. Checks the plan and the cache that it leaves.
  void step(int n);
  /// Drops everything; all pages must be free then.
  void end();

 private:
  void call(anabranch::Step& step);
  void tree_call(anabranch::Step& step, anabranch::SequenceId sequence);
  void fork(anabranch::Step& step, anabranch::SequenceId sequence);
  void join(anabranch::Step& step, anabranch::SequenceId sequence);
  void check_plan(const anabranch::StepPlan& plan) const;
  void check_last_row(const anabranch::StepPlan& plan, anabranch::SequenceId sequence) const;
  void check_cache() const;
  void find_sequences();
  anabranch::SequenceId some_sequence();

  Input& input_;
  anabranch::KvCache& cache_;
  std::vector<anabranch::SequenceId> sequences_;
  std::vector<anabranch::Slot> held_;  ///< sorted: slots that some sequence saw when the step began
};

}  // namespace fuzz
