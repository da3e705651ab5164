// Random steps on a TreeWorld: every operation, rewinds into shared segments among them, and ragged appends.
#pragma once

#include <utility>
#include <vector>

#include "support/random_tree.hpp"
#include "tree_world.hpp"

namespace anabranch::test {

class RandomSteps {
 public:
  /// Goes on with the tree of `world`, whose sequence 0 is never dropped.
  RandomSteps(std::uint32_t seed, TreeWorld& world, std::vector<Positions> policies = {Positions::sequential})
      : world_{world},
        tree_(seed, world.cache(), world.roots(),
              {.mix = {.append = 9, .fork = 3, .join = 3, .rewind = 2, .adopt = 1, .drop = 1, .detach = 1},
               .policies = std::move(policies),
               .take_back = TakeBack::settled}) {}

  /// Opens a step, changes the tree, appends; at least one row.
  void step(std::int32_t most_tokens) {
    world_.world.begin();
    tree_.begin_step();
    tree_.set_max_tokens(most_tokens);
    const std::size_t n = 2 * tree_.sequences().size() + 2;
    for (std::size_t i = 0; i < n; ++i) tree_.act(world_);
    world_.world.append(0, 1);
  }

 private:
  /// The calls of a Step, in the world's numbers.
  struct Numbered {
    TreeWorld& world;
    int operator[](SequenceId sequence) const { return world.number_of(sequence); }
    void append_unknown(SequenceId sequence, std::int32_t n) { world.append((*this)[sequence], n); }
    std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const ForkOptions& options) {
      std::vector<SequenceId> children;
      for (const int child : world.fork((*this)[parent], n, options)) children.push_back(world.sequence(child).id);
      return children;
    }
    void join(SequenceId parent, const std::vector<SequenceId>& children) {
      std::vector<int> numbers;
      for (const SequenceId child : children) numbers.push_back((*this)[child]);
      world.join((*this)[parent], numbers);
    }
    void rewind(SequenceId sequence, std::int32_t n_tokens) {
      world.rewind((*this)[sequence], static_cast<std::size_t>(n_tokens));
    }
    void adopt(SequenceId parent, SequenceId child) { world.adopt((*this)[parent], (*this)[child]); }
    void drop(SequenceId sequence) { world.drop((*this)[sequence]); }
    void detach(SequenceId sequence) { world.detach((*this)[sequence]); }
    SequenceId create_sequence(Position) { fail(Status::unsupported, "a world has one root of its own"); }
  };

  Numbered world_;
  RandomTree tree_;
};

}  // namespace anabranch::test
