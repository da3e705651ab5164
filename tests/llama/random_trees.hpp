// Random trees for the host's table: steps with every operation, committed, aborted or refused.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

#include <anabranch/anabranch.hpp>

#include "seq_table_world.hpp"

namespace anabranch::test {

/// Numbers of what happened, in all steps together.
struct Counts {
  int steps = 0, refused = 0, aborted = 0, rows = 0, batches = 0, two_batches = 0, joins = 0, rewinds = 0, adopts = 0,
      rejects = 0;
};

/// The position policies of the forks. With `all`, rewinds may reach into joins too.
enum class Kinds { longest, all };

/// Random steps of one to seven operations each, of which some are aborted.
class RandomTrees {
 public:
  RandomTrees(unsigned seed, Kinds kinds, Counts& counts) : random_(seed), kinds_(kinds), counts_(counts) {
    sequences_.push_back(world_.cache.create_sequence());
    tail_[sequences_.back()] = 0;
  }

  void step() {
    const auto sequences = sequences_;
    const auto tail = tail_;
    n_own_rows_.clear();
    Step step = world_.cache.begin_step();
    const int n = 1 + static_cast<int>(below(7));
    for (int i = 0; i < n; ++i) one(step);
    ++counts_.steps;
    const bool ran = world_.run(step);
    counts_.refused += ran ? 0 : 1;
    if (ran) reject(step);
    if (ran && below(4) != 0) {
      world_.commit(step);
      counts_.rows += world_.n_rows;
      counts_.batches += world_.n_batches;
      counts_.two_batches += world_.n_batches > 1 ? 1 : 0;
      return;
    }
    if (ran) world_.abort(step);
    step.abort();
    ++counts_.aborted;
    sequences_ = sequences;
    tail_ = tail;
    if (!ran && below(3) == 0)
      drop_all();  // else a sequence that llama.cpp cannot continue would be refused in every step
  }
  void drop_all() {
    Step step = world_.cache.begin_step();
    for (const SequenceId sequence : sequences_)
      if (world_.cache.alive(sequence)) step.drop(sequence);
    if (!step.plan()) throw std::logic_error("no plan");
    step.commit();  // without the host
    sequences_ = {world_.cache.create_sequence()};
    tail_ = {{sequences_.back(), 0}};
  }
  World& world() { return world_; }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  SequenceId any() { return sequences_[below(static_cast<std::uint32_t>(sequences_.size()))]; }
  void sweep() {
    std::erase_if(sequences_, [&](SequenceId sequence) { return !world_.cache.alive(sequence); });
    if (sequences_.empty()) sequences_.push_back(world_.cache.create_sequence());
  }
  Positions policy() {
    if (kinds_ == Kinds::longest) return Positions::longest;
    switch (below(6)) {
      case 0: return Positions::sequential;
      case 1: return Positions::reserved(6);
      default: return Positions::longest;
    }
  }

  void one(Step& step) {
    const SequenceId sequence = any();
    switch (below(14)) {
      case 0:
        if (sequences_.size() < 6) sequences_.push_back(step.create_sequence(static_cast<Position>(below(3))));
        break;
      case 1:
      case 2:
      case 3: fork(step, sequence); break;
      case 4:
      case 5:
      case 6: join(step, sequence); break;
      case 7: rewind(step, sequence); break;
      case 8: adopt(step, sequence); break;
      case 9:
        if (below(2) == 0) step.drop(sequence);
        break;
      case 10:
        if (below(3) == 0 && world_.cache.parent(sequence) != kNoSequence) step.detach(sequence);
        break;
      default: append(step, sequence); break;
    }
    sweep();
  }
  void append(Step& step, SequenceId sequence) {
    const auto n = static_cast<std::int32_t>(1 + below(3));
    if (world_.cache.next_position(sequence) + n > world_.cache.position_limit(sequence)) return;
    step.append(sequence, std::vector<TokenId>(static_cast<std::size_t>(n), 7));
    tail_[sequence] += n;
    n_own_rows_[sequence] += n;
  }
  void reject(Step& step) {
    for (const auto& [sequence, n_rows] : n_own_rows_) {
      if (n_rows == 0 || !world_.cache.alive(sequence) || below(4) != 0) continue;
      const auto n = static_cast<std::int32_t>(1 + below(static_cast<std::uint32_t>(n_rows)));
      step.reject(sequence, n);
      tail_[sequence] -= n;
      ++counts_.rejects;
    }
  }
  void fork(Step& step, SequenceId sequence) {
    if (sequences_.size() > 16) return;
    n_own_rows_[sequence] = 0;
    for (const SequenceId child : step.fork(sequence, 1 + static_cast<int>(below(3)), {.positions = policy()})) {
      sequences_.push_back(child);
      tail_[child] = 0;
      if (below(3) != 0) append(step, child);
    }
  }
  void join(Step& step, SequenceId sequence) {
    std::vector<SequenceId> kids = world_.cache.children(sequence);
    std::erase_if(kids, [&](SequenceId kid) { return !world_.cache.children(kid).empty() || below(5) == 0; });
    std::shuffle(kids.begin(), kids.end(), random_);
    if (kids.empty()) return;
    step.join(sequence, kids);
    tail_[sequence] = n_own_rows_[sequence] = 0;
    ++counts_.joins;
    if (below(2) == 0) append(step, sequence);
  }
  void rewind(Step& step, SequenceId sequence) {
    const KvCache& cache = world_.cache;
    std::int32_t least = cache.fork_tokens(sequence);
    for (const SequenceId kid : cache.children(sequence)) least = std::max(least, cache.fork_tokens(kid));
    if (kinds_ == Kinds::longest) least = std::max(least, cache.n_tokens(sequence) - tail_[sequence]);
    const std::int32_t room = cache.n_tokens(sequence) - least;
    if (room <= 0) return;
    const auto n = static_cast<std::int32_t>(1 + below(static_cast<std::uint32_t>(room)));
    step.rewind(sequence, cache.n_tokens(sequence) - n);
    tail_[sequence] = std::max(0, tail_[sequence] - n);
    n_own_rows_[sequence] = std::max(0, n_own_rows_[sequence] - n);
    ++counts_.rewinds;
    if (below(2) == 0) append(step, sequence);
  }
  void adopt(Step& step, SequenceId sequence) {
    const std::vector<SequenceId> kids = world_.cache.children(sequence);
    if (kids.empty()) return;
    const SequenceId kid = kids[below(static_cast<std::uint32_t>(kids.size()))];
    const std::int32_t tail = tail_[kid];
    step.adopt(sequence, kid);
    tail_[sequence] = tail;
    n_own_rows_[sequence] = n_own_rows_[kid];
    ++counts_.adopts;
  }

  std::mt19937 random_;
  Kinds kinds_;
  Counts& counts_;
  World world_;
  std::vector<SequenceId> sequences_;
  std::map<SequenceId, std::int32_t> tail_;  ///< tokens that the sequence wrote since its last fork, join or start
  std::map<SequenceId, std::int32_t> n_own_rows_;  ///< those of the open step
};

}  // namespace anabranch::test
