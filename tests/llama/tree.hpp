// A cache, the llama.cpp host and the naive book of both, step by step.
#pragma once

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include <anabranch/anabranch.hpp>
#include <anabranch/llama/host.hpp>

#include "reference.hpp"

namespace anabranch::test {

inline const ForkOptions kLongest{.positions = Positions::longest};

class Tree {
 public:
  explicit Tree(llama_context* context, CacheOptions options = {.n_pages = 128, .page_size = 4})
      : cache(options), host(context, cache), book(cache), step_(cache.begin_step()) {}

  SequenceId create() {
    const SequenceId sequence = step_->create_sequence();
    book.create(sequence);
    return sequence;
  }
  void append(SequenceId sequence, const std::vector<TokenId>& tokens) {
    step_->append(sequence, tokens, Logits::all);
    book.append(sequence, tokens);
  }
  std::vector<SequenceId> fork(SequenceId sequence, int n) {
    const std::vector<SequenceId> children = step_->fork(sequence, n, kLongest);
    book.fork(sequence, children);
    return children;
  }
  void join(SequenceId parent, const std::vector<SequenceId>& children) {
    step_->join(parent, children);
    book.join(parent, children);
  }
  void rewind(SequenceId sequence, std::int32_t n_tokens) {
    step_->rewind(sequence, n_tokens);
    book.rewind(sequence, n_tokens);
  }
  void adopt(SequenceId parent, SequenceId child) {
    step_->adopt(parent, child);
    book.adopt(parent, child);
  }
  Step& step() { return *step_; }

  /// Runs the pass without ending the step, and keeps the logits.
  void run() {
    const PlanResult plan = step_->plan();
    REQUIRE(plan);
    const LogitsView view = host(*plan);
    REQUIRE(view.n_outputs == static_cast<std::int32_t>(plan->outputs.size()));
    const std::vector<int> numbers = book.numbers(*plan);
    for (std::size_t k = 0; k < plan->outputs.size(); ++k) {
      const std::span<const float> row = view.row(static_cast<std::int32_t>(k));
      logits[numbers[static_cast<std::size_t>(plan->outputs[k].row)]].assign(row.begin(), row.end());
    }
  }
  /// After `run`.
  void reject(SequenceId sequence, std::int32_t n) {
    step_->reject(sequence, n);
    book.rewind(sequence, cache.n_tokens(sequence));
  }
  void commit() {
    step_->commit();
    host.committed();
    next();
  }
  void pass() {
    run();
    commit();
  }
  /// The step and what the book says of it are given up; `ran`: after `run`.
  void abort() {
    step_->abort();
    host.aborted();
  }
  void next() {
    step_.reset();
    step_.emplace(cache.begin_step());
  }
  void end() { step_.reset(); }

  /// Every logit against the reference, which runs in `context`. Returns how many rows were compared.
  int compare(llama_context* context) const {
    OneByOne reference(context);
    float worst = 0;
    for (const auto& [number, values] : logits) {
      needs(reference, number);
      worst = std::max(worst, difference(values, reference.logits(number, book.fed(number))));
    }
    CHECK(worst < 2e-3f);
    return static_cast<int>(logits.size());
  }

  KvCache cache;
  llama::Host host;
  Book book;
  std::map<int, std::vector<float>> logits;

 private:
  void needs(OneByOne& reference, int number) const {
    for (const int seen : book.fed(number).sees) reference.logits(seen, book.fed(seen));
  }
  std::optional<Step> step_;
};

inline std::vector<TokenId> words(std::mt19937& random, int n) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(static_cast<TokenId>(100 + random() % 40000));
  return tokens;
}

}  // namespace anabranch::test
