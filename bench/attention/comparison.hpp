// Measures all sides over one problem, in turns, and prints the table of results.
#pragma once

#include <string>
#include <vector>

#include "../machine/machine.hpp"
#include "../measure.hpp"
#include "side.hpp"

namespace anabranch::bench {

struct Effort {
  int min_rounds = 5;
  int max_rounds = 15;
  double seconds = 1.5;  ///< no further round begins after this time, except to reach the least number of rounds
};

/// The times of one side in every round, in seconds per layer.
struct Timed {
  Kind kind{};
  std::string name;
  attention::Element element{};
  std::vector<double> rounds;
  std::vector<Limit> limits;  ///< for K and V in its type, in the same rounds
  double max_difference = 0;  ///< from the dense reference
};

/// One problem with one number of threads.
struct Comparison {
  ProblemShape shape;
  int n_threads = 0;
  std::vector<Timed> sides;

  /// Of the given kind and element type; null: not measured.
  const Timed* find(Kind kind, attention::Element element) const;
  /// The fastest of a kind by median; null: not measured.
  const Timed* best(Kind kind) const;
  void print() const;
};

/// How many times longer than its limit a side takes, round by round.
Spread over_limit(const Timed& side);
/// How many times longer `other` takes than `one`, round by round.
Spread ratio(const Timed& other, const Timed& one);

Comparison compare(const Problem& problem, Sides& sides, const std::vector<float>& reference, Machine& machine,
                   int n_threads, const Effort& effort);

}  // namespace anabranch::bench
