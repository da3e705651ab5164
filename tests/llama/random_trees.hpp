// Random trees for the host's table: steps with every operation, committed, aborted or refused.
#pragma once

#include <stdexcept>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "seq_table_world.hpp"
#include "support/random_tree.hpp"

namespace anabranch::test {

/// Numbers of what happened, in all steps together.
struct Counts {
  int steps = 0, refused = 0, aborted = 0, rows = 0, batches = 0, two_batches = 0, joins = 0, rewinds = 0, adopts = 0,
      rejects = 0;
};

/// A tree that llama.cpp can always follow: positions go on without jumps, and no rewind reaches into a join.
inline TreeOptions followed() {
  return {.mix = {.create = 1, .append = 4, .fork = 3, .join = 3, .rewind = 1, .adopt = 1, .drop = 1, .detach = 1},
          .max_sequences = 16,
          .policies = {Positions::longest},
          .reach = RewindReach::tail};
}
/// Every position policy and any rewind: a step may be refused.
inline TreeOptions unrestricted() {
  TreeOptions options = followed();
  options.policies = {Positions::sequential, Positions::reserved(6), Positions::longest,
                      Positions::longest,    Positions::longest,     Positions::longest};
  options.reach = RewindReach::fork;
  return options;
}

/// Random steps of one to seven operations each, of which some are aborted.
class RandomTrees {
 public:
  RandomTrees(unsigned seed, const TreeOptions& options, Counts& counts)
      : counts_(counts), tree_(seed, world_.cache, {world_.cache.create_sequence()}, options) {}

  void step() {
    Step step = world_.cache.begin_step();
    tree_.begin_step();
    Counted calls{step, counts_};
    for (int n = 1 + tree_.below(7); n > 0; --n) tree_.act(calls);
    ++counts_.steps;
    const bool ran = world_.run(step);
    counts_.refused += ran ? 0 : 1;
    if (ran) counts_.rejects += tree_.reject_some(step);
    if (ran && !tree_.chance(1, 4)) {
      world_.commit(step);
      counts_.rows += world_.n_rows;
      counts_.batches += world_.n_batches;
      counts_.two_batches += world_.n_batches > 1 ? 1 : 0;
      return;
    }
    if (ran) world_.abort(step);
    step.abort();
    tree_.abort_step();
    ++counts_.aborted;
    if (!ran && tree_.chance(1, 3))
      drop_all();  // else a sequence that llama.cpp cannot continue would be refused in every step
  }
  void drop_all() {
    Step step = world_.cache.begin_step();
    for (const SequenceId sequence : tree_.sequences())
      if (world_.cache.alive(sequence)) step.drop(sequence);
    if (!step.plan()) throw std::logic_error("no plan");
    step.commit();  // without the host
    tree_.restart(world_.cache.create_sequence());
  }
  World& world() { return world_; }

 private:
  /// The calls of a Step, counted.
  struct Counted {
    Step& step;
    Counts& counts;
    SequenceId create_sequence(Position first) { return step.create_sequence(first); }
    void append_unknown(SequenceId sequence, std::int32_t n) {
      step.append(sequence, std::vector<TokenId>(static_cast<std::size_t>(n), 7));
    }
    std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const ForkOptions& options) {
      return step.fork(parent, n, options);
    }
    void join(SequenceId parent, const std::vector<SequenceId>& children) {
      step.join(parent, children);
      ++counts.joins;
    }
    void rewind(SequenceId sequence, std::int32_t n_tokens) {
      step.rewind(sequence, n_tokens);
      ++counts.rewinds;
    }
    void adopt(SequenceId parent, SequenceId child) {
      step.adopt(parent, child);
      ++counts.adopts;
    }
    void drop(SequenceId sequence) { step.drop(sequence); }
    void detach(SequenceId sequence) { step.detach(sequence); }
  };

  Counts& counts_;
  World world_;
  RandomTree tree_;
};

}  // namespace anabranch::test

using ab::test::Counts;
using ab::test::followed;
using ab::test::RandomTrees;
using ab::test::unrestricted;
