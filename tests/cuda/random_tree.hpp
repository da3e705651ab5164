// Random steps on a TreeWorld: forks, joins, adoptions, drops, rewinds into shared segments, and ragged appends.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "tree_world.hpp"

namespace anabranch::test {

class RandomTree {
 public:
  explicit RandomTree(std::uint32_t seed) : random_(seed) {}

  /// Opens a step, changes the tree, appends; at least one row. Depends on the seed and on earlier calls only.
  void step(TreeWorld& world, int most_tokens) {
    world.begin();
    for (int number = 0; number < world.n_sequences(); ++number)
      if (world.sequence(number).alive) shorten(world, number);
    for (int number = 0; number < world.n_sequences(); ++number)
      if (world.sequence(number).alive && chance(3, 4)) world.append(number, below(most_tokens) + 1);
    world.append(0, 1);
    for (int number = 0; number < world.n_sequences(); ++number)
      if (world.sequence(number).alive) join(world, number, most_tokens);
    const int n = world.n_sequences();
    for (int number = 0; number < n; ++number)
      if (world.sequence(number).alive && n_living(world) < kMostSequences && chance(1, 3))
        fork(world, number, most_tokens);
  }

  int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint32_t>(limit)); }
  bool chance(int of, int in) { return below(in) < of; }

 private:
  static constexpr int kMostSequences = 12;

  static int n_living(const TreeWorld& world) {
    int n = 0;
    for (int number = 0; number < world.n_sequences(); ++number) n += world.sequence(number).alive ? 1 : 0;
    return n;
  }

  /// Everything that takes tokens away, before the step's own tokens are there.
  void shorten(TreeWorld& world, int number) {
    const std::vector<int> children = world.children(number);
    const bool leaves =
        std::all_of(children.begin(), children.end(), [&](int child) { return world.children(child).empty(); });
    if (!children.empty()) {
      if (leaves && chance(1, 8))
        world.adopt(number, children[static_cast<std::size_t>(below(static_cast<int>(children.size())))]);
      return;
    }
    if (number != 0 && chance(1, 10)) return world.drop(number);
    if (world.sequence(number).parent != kNone && chance(1, 8)) world.detach(number);
    const TreeWorld::Sequence& sequence = world.sequence(number);
    if (sequence.content.size() > sequence.forked_at + 1 && chance(1, 4))
      world.rewind(number, sequence.forked_at + 1 +
                               static_cast<std::size_t>(
                                   below(static_cast<int>(sequence.content.size() - sequence.forked_at) - 1)));
  }

  void join(TreeWorld& world, int number, int most_tokens) {
    std::vector<int> joined;
    for (const int child : world.children(number))
      if (world.children(child).empty() && chance(1, 2)) joined.push_back(child);
    if (joined.empty() || !chance(1, 2)) return;
    std::shuffle(joined.begin(), joined.end(), random_);
    world.join(number, joined);
    if (chance(1, 2)) world.append(number, below(most_tokens) + 1);
  }

  void fork(TreeWorld& world, int number, int most_tokens) {
    for (const int child : world.fork(number, 1 + below(3)))
      if (chance(2, 3)) world.append(child, below(most_tokens) + 1);
  }

  std::mt19937 random_;
};

}  // namespace anabranch::test
