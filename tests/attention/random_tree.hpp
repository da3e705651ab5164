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
    for (std::int32_t i = 0; i < n_trunks; ++i) lines_.push_back(cache_.create_line());
  }

  KvCache& cache() { return cache_; }
  const std::vector<LineId>& lines() const { return lines_; }
  std::mt19937& random() { return random_; }
  std::int32_t below(std::int32_t n) { return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(n)); }

  /// Some steps of forks, joins, rewinds and drops; appends now short, now several tiles long.
  void grow(int n_steps) {
    for (int i = 0; i < n_steps; ++i) {
      Step step = cache_.begin_step();
      for (int op = 0; op < 3; ++op) change(step);
      step.append(lines_.front(), 1);
      if (!step.plan()) return;
      step.commit();
    }
  }

  /// Tokens for every line: rows of one pass, forks of this very step among them. Then undone.
  Pass pass_of_all() {
    Step step = cache_.begin_step();
    std::vector<LineId> fresh;
    for (const LineId line : lines_) step.append(line, 1 + below(4));
    if (below(2) == 0)
      for (const LineId child : step.fork(lines_[static_cast<std::size_t>(below(n_lines()))], 2 + below(3)))
        step.append(child, 1 + below(3));
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

  /// `n_tokens` for each of these lines, nothing else. Then undone.
  Pass pass_of(std::span<const LineId> lines, std::int32_t n_tokens) {
    Step step = cache_.begin_step();
    for (const LineId line : lines) step.append(line, n_tokens);
    const PlanResult plan = step.plan();
    return plan ? Pass(*plan) : Pass();
  }

 private:
  std::int32_t n_lines() const { return static_cast<std::int32_t>(lines_.size()); }

  void change(Step& step) {
    const auto index = static_cast<std::size_t>(below(n_lines()));
    const LineId line = lines_[index];
    const std::vector<LineId> children = cache_.children(line);
    switch (below(6)) {
      case 0:
      case 1: step.append(line, below(3) == 0 ? 1 + below(200) : 1 + below(9)); return;
      case 2:
        if (lines_.size() < 9)
          for (const LineId child : step.fork(line, 1 + below(4))) lines_.push_back(child);
        return;
      case 3: return join(step, line, children);
      case 4: return rewind(step, line);
      default: return;
    }
  }

  void join(Step& step, LineId line, std::vector<LineId> children) {
    std::erase_if(children, [this](LineId child) { return !cache_.children(child).empty(); });
    if (children.empty() || cache_.children(line) != children) return;
    std::shuffle(children.begin(), children.end(), random_);
    step.join(line, children);
    std::erase_if(lines_,
                  [&children](LineId l) { return std::find(children.begin(), children.end(), l) != children.end(); });
  }

  void rewind(Step& step, LineId line) {
    if (!cache_.children(line).empty()) return;
    const std::int32_t own = cache_.n_tokens(line) - cache_.fork_tokens(line);
    if (own > 1) step.rewind(line, cache_.n_tokens(line) - below(own));
  }

  std::mt19937 random_;
  KvCache cache_;
  std::vector<LineId> lines_;
};

}  // namespace anabranch::test
