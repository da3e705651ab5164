// A real cache and, beside it, naive books: the tokens of every sequence, and the token in every slot.
//
// The reference for attention is made from the books alone; the kernels get the cache's plan and K/V tensors addressed
// by its slots. Tokens are numbered in the order of their making; sequences likewise.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>

namespace anabranch::test {

/// How the tokens of a sequence lie in the pool.
enum class Places { together, scattered };

/// One planned pass. Borrowed from the open step.
struct Pass {
  const StepPlan* plan = nullptr;
  std::vector<int> token_of_row;
  std::vector<std::vector<int>> sees;  ///< per row: tokens in history order, itself last
  std::map<int, Position> position;    ///< of each token that was ever planned
  std::vector<int> token_of_slot;      ///< [n_slots]; kNone where nothing was ever written
};

class TreeWorld {
 public:
  /// A world with one sequence, number 0, that holds `n_tokens`.
  explicit TreeWorld(Places places, int n_tokens = 0)
      : places_(places),
        cache_(
            {.n_pages = places == Places::together ? 1024 : 4096, .page_size = places == Places::together ? 16 : 4}) {
    books_.sequences.push_back({cache_.create_sequence()});
    filler_ = cache_.create_sequence();
    books_.token_of_slot.assign(static_cast<std::size_t>(cache_.n_slots()), kNone);
    if (n_tokens == 0) return;
    begin();
    append(0, n_tokens);
    commit();
  }

  struct Sequence {
    SequenceId id;
    int parent = kNone;
    std::vector<int> content = {};  ///< tokens that it sees
    std::size_t forked_at = 0;      ///< tokens of its parent at the fork
    bool alive = true;
  };
  int n_sequences() const { return static_cast<int>(books_.sequences.size()); }
  const KvCache& cache() const { return cache_; }
  /// Of a sequence that is alive.
  int number_of(SequenceId id) const {
    for (int k = 0; k < n_sequences(); ++k)
      if (sequence(k).alive && sequence(k).id == id) return k;
    fail(Status::stale_sequence, "no sequence of the world");
  }
  std::vector<SequenceId> roots() const {
    std::vector<SequenceId> found;
    for (int k = 0; k < n_sequences(); ++k)
      if (sequence(k).alive && sequence(k).parent == kNone) found.push_back(sequence(k).id);
    return found;
  }
  const Sequence& sequence(int number) const { return books_.sequences[static_cast<std::size_t>(number)]; }
  std::vector<int> children(int number) const {
    std::vector<int> found;
    for (int k = 0; k < n_sequences(); ++k)
      if (sequence(k).alive && sequence(k).parent == number) found.push_back(k);
    return found;
  }

  void begin() {
    before_ = books_;
    fed_.clear();
    sees_.clear();
    step_.emplace(cache_.begin_step());
  }
  /// The number of the step's next token, for a step that will be aborted.
  void number_from(int token) { books_.n_tokens = token; }
  void append(int number, int n) {
    for (int i = 0; i < n; ++i) {
      at(number).content.push_back(books_.n_tokens);
      fed_[sequence(number).id].push_back(books_.n_tokens);
      sees_[books_.n_tokens++] = sequence(number).content;
    }
    step_->append_unknown(sequence(number).id, n);
  }
  std::vector<int> fork(int number, int n, const ForkOptions& options = {}) {
    std::vector<int> made;
    for (const SequenceId id : step_->fork(sequence(number).id, n, options)) {
      made.push_back(n_sequences());
      books_.sequences.push_back({id, number, sequence(number).content, sequence(number).content.size()});
    }
    return made;
  }
  void join(int number, const std::vector<int>& children) {
    std::vector<SequenceId> ids;
    for (const int child : children) {
      ids.push_back(sequence(child).id);
      const std::vector<int> from = sequence(child).content;
      at(number).content.insert(at(number).content.end(),
                                from.begin() + static_cast<std::ptrdiff_t>(sequence(child).forked_at), from.end());
      at(child).alive = false;
    }
    step_->join(sequence(number).id, ids);
  }
  /// The child's children are the parent's then; its siblings are gone with all below them.
  void adopt(int number, int child) {
    step_->adopt(sequence(number).id, sequence(child).id);
    at(number).content = sequence(child).content;
    for (const int k : children(number))
      if (k != child) end(k);
    at(child).alive = false;
    for (const int k : children(child)) at(k).parent = number;
  }
  void drop(int number) {
    step_->drop(sequence(number).id);
    end(number);
  }
  /// The sequence becomes a root; from then on it may be shortened into what it shares.
  void detach(int number) {
    step_->detach(sequence(number).id);
    at(number).parent = kNone;
    at(number).forked_at = 0;
  }
  /// REQUIRES: the dropped tokens were committed.
  void rewind(int number, std::size_t n_tokens) {
    step_->rewind(sequence(number).id, static_cast<std::int32_t>(n_tokens));
    at(number).content.resize(n_tokens);
  }

  /// The open step's pass. Planned once; borrowed until the step is over.
  const Pass& plan() {
    if (!pass_) pass_ = make_pass();
    return *pass_;
  }
  void commit() {
    books_.token_of_slot = plan().token_of_slot;
    books_.position = plan().position;
    step_->commit();
    close();
    if (places_ == Places::scattered) part();
  }
  void abort() {
    step_->abort();
    close();
    books_ = before_;
  }

 private:
  struct Books {
    std::vector<Sequence> sequences;
    std::vector<int> token_of_slot;
    std::map<int, Position> position;
    int n_tokens = 0;
  };
  Sequence& at(int number) { return books_.sequences[static_cast<std::size_t>(number)]; }
  void end(int number) {
    for (const int child : children(number)) end(child);
    at(number).alive = false;
  }
  void close() {
    step_.reset();
    pass_.reset();
  }
  Pass make_pass() {
    const PlanResult result = step_->plan();
    if (!result) fail(Status::no_room, "the test's cache is too small");
    Pass pass{&*result, {}, {}, books_.position, books_.token_of_slot};
    std::map<SequenceId, std::size_t> next;
    for (std::size_t r = 0; r < result->tokens.size(); ++r) {
      const int token = fed_.at(result->sequences[r]).at(next[result->sequences[r]]++);
      pass.token_of_row.push_back(token);
      pass.token_of_slot[static_cast<std::size_t>(result->slots[r])] = token;
      pass.sees.push_back(sees_.at(token));
      pass.position[token] = result->positions[r];
    }
    return pass;
  }
  /// Takes the next pages away, so that what follows lies elsewhere.
  void part() {
    Step step = cache_.begin_step();
    step.append_unknown(filler_, 5);
    if (!step.plan()) fail(Status::no_room, "the test's cache is too small");
    step.commit();
  }

  Places places_;
  KvCache cache_;
  SequenceId filler_;
  std::optional<Step> step_;
  std::optional<Pass> pass_;
  Books books_, before_;
  std::map<SequenceId, std::vector<int>> fed_;  ///< tokens of the open step, by who appended them
  std::map<int, std::vector<int>> sees_;        ///< of each token of the open step, itself last
};

}  // namespace anabranch::test
