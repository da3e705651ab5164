// Random branch trees, and passes over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

#include "pass.hpp"

namespace anabranch::test {

class RandomTree {
 public:
  explicit RandomTree(std::uint32_t seed, std::int32_t n_pages = 160, std::int32_t page_size = 16)
      : random_(seed), cache_({.n_pages = n_pages, .page_size = page_size}) {
    const std::int32_t n_trunks = below(2) + 1;
    for (std::int32_t i = 0; i < n_trunks; ++i) sequences_.push_back(cache_.create_sequence());
  }

  KvCache& cache() { return cache_; }
  const std::vector<SequenceId>& sequences() const { return sequences_; }
  std::mt19937& random() { return random_; }
  std::int32_t below(std::int32_t n) { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(n)); }

  /// Some steps of forks, joins, rewinds and drops; appends now short, now several tiles long.
  void grow(int n_steps) {
    for (int i = 0; i < n_steps; ++i) {
      Step step = cache_.begin_step();
      for (int op = 0; op < 3; ++op) change(step);
      step.append(sequences_.front(), 1);
      if (!step.plan()) return;
      step.commit();
    }
  }

  /// Tokens for every sequence: rows of one pass, forks of this very step among them. Then undone.
  Pass pass_of_all() {
    Step step = cache_.begin_step();
    std::vector<SequenceId> fresh;
    for (const SequenceId sequence : sequences_) step.append(sequence, 1 + below(4));
    if (below(2) == 0)
      for (const SequenceId child : step.fork(sequences_[static_cast<std::size_t>(below(n_sequences()))], 2 + below(3)))
        step.append(child, 1 + below(3));
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

  /// `n_tokens` for each of these sequences, nothing else. Then undone.
  Pass pass_of(std::span<const SequenceId> sequences, std::int32_t n_tokens) {
    Step step = cache_.begin_step();
    for (const SequenceId sequence : sequences) step.append(sequence, n_tokens);
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

 private:
  std::int32_t n_sequences() const { return static_cast<std::int32_t>(sequences_.size()); }

  void change(Step& step) {
    const auto index = static_cast<std::size_t>(below(n_sequences()));
    const SequenceId sequence = sequences_[index];
    const std::vector<SequenceId> children = cache_.children(sequence);
    switch (below(6)) {
      case 0:
      case 1: step.append(sequence, below(3) == 0 ? 1 + below(200) : 1 + below(9)); return;
      case 2:
        if (sequences_.size() < 9)
          for (const SequenceId child : step.fork(sequence, 1 + below(4))) sequences_.push_back(child);
        return;
      case 3: return join(step, sequence, children);
      case 4: return rewind(step, sequence);
      default: return;
    }
  }

  void join(Step& step, SequenceId sequence, std::vector<SequenceId> children) {
    std::erase_if(children, [this](SequenceId child) { return !cache_.children(child).empty(); });
    if (children.empty() || cache_.children(sequence) != children) return;
    std::shuffle(children.begin(), children.end(), random_);
    step.join(sequence, children);
    std::erase_if(sequences_, [&children](SequenceId l) {
      return std::find(children.begin(), children.end(), l) != children.end();
    });
  }

  void rewind(Step& step, SequenceId sequence) {
    if (!cache_.children(sequence).empty()) return;
    const std::int32_t own = cache_.n_tokens(sequence) - cache_.fork_tokens(sequence);
    if (own > 1) step.rewind(sequence, cache_.n_tokens(sequence) - below(own));
  }

  std::mt19937 random_;
  KvCache cache_;
  std::vector<SequenceId> sequences_;
};

}  // namespace anabranch::test
