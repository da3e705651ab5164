// A random tree as a script: grown on a cache of its own, with every call written down.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "support/random_tree.hpp"
#include "torch/tree_script.hpp"

namespace anabranch::test {

class RandomScript {
 public:
  /// `n_roots` prompts, then `n_operations` on their tree, a pass every few of them. Tokens are below `vocabulary`.
  RandomScript(std::uint32_t seed, int n_roots, int n_operations, TreeOptions options, TokenId vocabulary)
      : vocabulary_(vocabulary),
        cache_({.n_pages = 256, .page_size = 4}),
        step_(cache_.begin_step()),
        tree_(seed, cache_, roots(n_roots), std::move(options)) {
    tree_.begin_step();
    for (const SequenceId root : tree_.sequences()) append_unknown(root, 1 + tree_.below(9));
    pass();
    for (int i = 0; i < n_operations; ++i) {
      tree_.act(*this);
      if (tree_.chance(1, 4)) pass();
    }
  }
  const TreeScript& script() const { return script_; }
  std::int32_t below(std::int32_t n) { return tree_.below(n); }

  // The calls of a Step.
  SequenceId create_sequence(Position first) {
    const SequenceId made = step_->create_sequence(first);
    number_[made] = script_.create();
    return made;
  }
  void append_unknown(SequenceId sequence, std::int32_t n) {
    std::vector<TokenId> tokens;
    for (std::int32_t i = 0; i < n; ++i) tokens.push_back(tree_.below(vocabulary_));
    step_->append(sequence, tokens);
    script_.append(number_.at(sequence), tokens);
  }
  std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const ForkOptions& options) {
    const std::vector<SequenceId> made = step_->fork(parent, n, options);
    const std::vector<int> numbers = script_.fork(number_.at(parent), n, options.positions);
    for (std::size_t k = 0; k < made.size(); ++k) number_[made[k]] = numbers[k];
    return made;
  }
  void join(SequenceId parent, const std::vector<SequenceId>& children) {
    step_->join(parent, children);
    std::vector<int> numbers;
    for (const SequenceId child : children) numbers.push_back(number_.at(child));
    script_.join(number_.at(parent), numbers);
  }
  void rewind(SequenceId sequence, std::int32_t n_tokens) {
    step_->rewind(sequence, n_tokens);
    script_.rewind(number_.at(sequence), n_tokens);
  }
  void adopt(SequenceId parent, SequenceId child) {
    step_->adopt(parent, child);
    script_.adopt(number_.at(parent), number_.at(child));
  }
  void drop(SequenceId sequence) {
    step_->drop(sequence);
    script_.drop(number_.at(sequence));
  }
  void detach(SequenceId) { fail(Status::unsupported, "a script does not detach"); }

 private:
  std::vector<SequenceId> roots(int n) {
    std::vector<SequenceId> made;
    for (int i = 0; i < n; ++i) made.push_back(create_sequence(0));
    return made;
  }
  void pass() {
    if (!step_->plan()) fail(Status::no_room, "the script's cache is too small");
    step_->commit();
    step_.emplace(cache_.begin_step());
    script_.pass();
    tree_.begin_step();
  }

  TokenId vocabulary_;
  KvCache cache_;
  std::optional<Step> step_;
  TreeScript script_;
  std::map<SequenceId, int> number_;  ///< in the script
  RandomTree tree_;
};

}  // namespace anabranch::test
