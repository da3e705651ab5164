// A random tree, and passes over it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
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
        position_of_slot_(static_cast<std::size_t>(cache_.n_slots()), kNone),
        tree_(seed, cache_, {cache_.create_sequence()},
              {.mix = {.create = 1, .append = 6, .fork = 4, .join = 3, .rewind = 2, .adopt = 1, .drop = 1, .detach = 1},
               .max_sequences = 9,
               .max_children = 4,
               .max_tokens = 9,
               .long_tokens = 200,
               .policies = {Positions::sequential, Positions::longest, Positions::reserved(150), Positions::given}}) {}

  const std::vector<SequenceId>& sequences() const { return sequences_; }
  std::mt19937& random() { return tree_.random(); }
  std::int32_t below(std::int32_t n) { return tree_.below(n); }

  /// Some steps of all operations; appends now short, now several tiles long. Some rows are rejected.
  void grow(int n_steps) {
    for (int i = 0; i < n_steps; ++i) {
      Step step = cache_.begin_step();
      tree_.begin_step();
      Calls calls{*this, step};
      for (int op = 0; op < 3; ++op) tree_.act(calls);
      step.append_unknown(tree_.sequences().front(), 1);
      const PlanResult plan = step.plan();
      if (!plan) {
        tree_.abort_step();
        break;
      }
      note_positions(*plan, position_of_slot_);
      tree_.reject_some(step);
      step.commit();
    }
    sequences_ = tree_.sequences();
  }

  /// Tokens for every sequence that has positions left: rows of one pass, forks of this very step among them. Then
  /// undone.
  Pass pass_of_all() {
    Step step = cache_.begin_step();
    for (const SequenceId sequence : sequences_) append(step, sequence, 1 + below(4));
    if (below(2) == 0)
      for (const SequenceId child : step.fork(any(), 2 + below(3))) append(step, child, 1 + below(3));
    return pass_of(step);
  }

  /// `n_tokens` for each of these sequences, as far as it has positions, nothing else. Then undone.
  Pass pass_of(std::span<const SequenceId> sequences, std::int32_t n_tokens) {
    Step step = cache_.begin_step();
    for (const SequenceId sequence : sequences) append(step, sequence, n_tokens);
    return pass_of(step);
  }

 private:
  /// The calls of a Step, with numbers where `given` positions want some: anywhere near where the parent is.
  struct Calls {
    PassTree& tree;
    Step& step;
    SequenceId create_sequence(Position first) { return step.create_sequence(first); }
    void append_unknown(SequenceId sequence, std::int32_t n) { step.append_unknown(sequence, n); }
    std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, ForkOptions options) {
      std::vector<Position> starts;
      for (std::int32_t k = 0; options.positions.is_given() && k < n; ++k) starts.push_back(near(parent));
      options.starts = starts;
      const std::vector<SequenceId> children = step.fork(parent, n, options);
      if (!starts.empty()) tree.given_.insert(children.begin(), children.end());
      return children;
    }
    void join(SequenceId parent, const std::vector<SequenceId>& children) {
      const bool given = std::any_of(children.begin(), children.end(),
                                     [this](SequenceId child) { return tree.given_.count(child) != 0; });
      step.join(parent, children, {.next = given ? near(parent) : kNone});
    }
    void rewind(SequenceId sequence, std::int32_t n_tokens) { step.rewind(sequence, n_tokens); }
    void adopt(SequenceId parent, SequenceId child) { step.adopt(parent, child); }
    void drop(SequenceId sequence) { step.drop(sequence); }
    void detach(SequenceId sequence) { step.detach(sequence); }

   private:
    Position near(SequenceId sequence) {
      const Position next = tree.cache_.next_position(sequence) - 20 + tree.below(60);
      return std::clamp(next, 0, tree.cache_.position_limit(sequence) - 1);
    }
  };

  static void note_positions(const StepPlan& plan, std::vector<Position>& positions) {
    for (std::size_t row = 0; row < plan.slots.size(); ++row)
      positions[static_cast<std::size_t>(plan.slots[row])] = plan.positions[row];
  }
  void append(Step& step, SequenceId sequence, std::int32_t n) const {
    n = std::min(n, cache_.position_limit(sequence) - cache_.next_position(sequence));
    if (n > 0) step.append_unknown(sequence, n);
  }
  Pass pass_of(Step& step) const {
    const PlanResult plan = step.plan();
    if (!plan) return Pass();
    Pass pass(*plan);
    pass.position_of_slot = position_of_slot_;
    note_positions(*plan, pass.position_of_slot);
    return pass;
  }
  SequenceId any() { return sequences_[static_cast<std::size_t>(below(static_cast<std::int32_t>(sequences_.size())))]; }

  KvCache cache_;
  std::vector<Position> position_of_slot_;
  std::set<SequenceId> given_;  ///< children of forks with `given` positions
  RandomTree tree_;
  std::vector<SequenceId> sequences_;  ///< after the last step
};

}  // namespace anabranch::test
