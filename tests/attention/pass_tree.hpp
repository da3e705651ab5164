// A random tree, and passes over it.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "pass.hpp"
#include "support/random_tree.hpp"

namespace anabranch::test {

class PassTree {
 public:
  explicit PassTree(std::uint32_t seed)
      : cache_({.n_pages = 160, .page_size = 16}),
        tree_(seed, cache_, {cache_.create_sequence()},
              {.mix = {.create = 1, .append = 6, .fork = 4, .join = 3, .rewind = 2, .adopt = 1, .drop = 1, .detach = 1},
               .max_sequences = 9,
               .max_children = 4,
               .max_tokens = 9,
               .long_tokens = 200,
               .policies = {Positions::sequential, Positions::longest}}) {}

  const std::vector<SequenceId>& sequences() const { return sequences_; }
  std::mt19937& random() { return tree_.random(); }
  std::int32_t below(std::int32_t n) { return tree_.below(n); }

  /// Some steps of all operations; appends now short, now several tiles long.
  void grow(int n_steps) {
    for (int i = 0; i < n_steps; ++i) {
      Step step = cache_.begin_step();
      tree_.begin_step();
      for (int op = 0; op < 3; ++op) tree_.act(step);
      step.append_unknown(tree_.sequences().front(), 1);
      if (!step.plan()) {
        tree_.abort_step();
        break;
      }
      step.commit();
    }
    sequences_ = tree_.sequences();
  }

  /// Tokens for every sequence: rows of one pass, forks of this very step among them. Then undone.
  Pass pass_of_all() {
    Step step = cache_.begin_step();
    for (const SequenceId sequence : sequences_) step.append_unknown(sequence, 1 + below(4));
    if (below(2) == 0)
      for (const SequenceId child : step.fork(any(), 2 + below(3))) step.append_unknown(child, 1 + below(3));
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

  /// `n_tokens` for each of these sequences, nothing else. Then undone.
  Pass pass_of(std::span<const SequenceId> sequences, std::int32_t n_tokens) {
    Step step = cache_.begin_step();
    for (const SequenceId sequence : sequences) step.append_unknown(sequence, n_tokens);
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

 private:
  SequenceId any() { return sequences_[static_cast<std::size_t>(below(static_cast<std::int32_t>(sequences_.size())))]; }

  KvCache cache_;
  RandomTree tree_;
  std::vector<SequenceId> sequences_;  ///< after the last step
};

}  // namespace anabranch::test
