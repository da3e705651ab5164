// One step of a cache: a transaction.
//
//   begin_step -> create_sequence / append / fork / join / rewind / adopt / drop / detach / hold
//              -> plan -> reject, where rows were drafts -> commit or abort
//
// Nothing that a step does is final before commit, not even after the model ran: abort, also by destroying the step,
// brings everything back. After a plan only reject, commit or abort are allowed; after a shortage the step may be
// changed and planned again. A call that throws has changed nothing. Reads of the cache see the step's own state.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include <anabranch/cache/options.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
class BasicKvCache;

template <class Cache>
class BasicStep {
 public:
  using Options = typename Cache::ForkOptions;

  BasicStep(BasicStep&& other) noexcept : cache_(other.cache_) { other.cache_ = nullptr; }
  BasicStep& operator=(BasicStep&& other) noexcept;
  BasicStep(const BasicStep&) = delete;
  BasicStep& operator=(const BasicStep&) = delete;
  ~BasicStep() { abort(); }

  /// A new root whose first token gets position `first`.
  SequenceId create_sequence(Position first = 0) { return cache().step_create_sequence(first); }

  /// Adds tokens to a sequence: one row each. O(tokens). Throws out_of_range past the sequence's last position.
  void append(SequenceId sequence, std::span<const TokenId> tokens, Logits logits = Logits::none) {
    cache().step_append(sequence, tokens, 0, logits);
  }
  void append(SequenceId sequence, std::initializer_list<TokenId> tokens, Logits logits = Logits::none) {
    append(sequence, std::span<const TokenId>(tokens.begin(), tokens.size()), logits);
  }
  /// `n` tokens that the host will only know on its device.
  void append(SequenceId sequence, std::int32_t n, Logits logits = Logits::none) {
    cache().step_append(sequence, {}, n, logits);
  }
  /// Logits of the sequence's last token, which must be a row of this step: what a fork without tokens samples from.
  void request_logits(SequenceId sequence) { cache().step_request_logits(sequence); }

  /// Splits a sequence into children that see what it sees now. O(children), copies no K/V.
  std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const Options& options = {}) {
    if (n < 1) fail(Status::bad_argument, "fork into ", n, " children; at least 1 is needed");
    cache().check_new_sequences(parent, n);
    std::vector<SequenceId> children(static_cast<std::size_t>(n));
    fork(parent, std::span<SequenceId>(children), options);
    return children;
  }
  void fork(SequenceId parent, std::span<SequenceId> children, const Options& options = {}) {
    cache().step_fork(parent, children, options);
  }
  /// Appends the children's own tokens to the parent's history in the given order; their ids go stale. O(views).
  /// To join a child truncated, rewind it first.
  void join(SequenceId parent, std::span<const SequenceId> children, const JoinOptions& options = {}) {
    cache().step_join(parent, children, options);
  }
  void join(SequenceId parent, std::initializer_list<SequenceId> children, const JoinOptions& options = {}) {
    join(parent, std::span<const SequenceId>(children.begin(), children.size()), options);
  }
  /// Shortens a sequence to the first `n_tokens` that it sees: not below its own fork, nor the fork of an open child.
  void rewind(SequenceId sequence, std::int32_t n_tokens) { cache().step_rewind(sequence, n_tokens); }
  /// The parent takes the child's history, next position and children. What it wrote since the fork and its other
  /// children are dropped. O(sequences below the parent).
  void adopt(SequenceId parent, SequenceId child) { cache().step_adopt(parent, child); }
  /// Forgets a sequence and its descendants.
  void drop(SequenceId sequence) { cache().step_drop(sequence); }
  /// Makes a branch a root of its own; it can no longer be joined.
  void detach(SequenceId sequence) { cache().step_detach(sequence); }
  /// From this step's plan on the sequence keeps at least `n_slots` free slots of its own beside what it appends.
  void hold(SequenceId sequence, std::int32_t n_slots) { cache().step_hold(sequence, n_slots); }

  /// Reserves pages and describes the pass. The plan is valid until commit or abort.
  PlanResult plan() { return cache().step_plan(); }
  /// After the plan: the last `n` of the rows that the sequence itself writes there were drafts that the pass has
  /// proved wrong. They stay rows of the plan, but the sequence ends before them, and the commit gives their slots
  /// back, as if they had never been appended. Another call takes the place of the one before; 0 keeps all. Costs
  /// nothing, and nothing is cut, unlike a rewind in the next step. Throws bad_argument for more rows than that,
  /// wrong_state without a plan.
  void reject(SequenceId sequence, std::int32_t n) { cache().step_reject(sequence, n); }
  /// Makes the step final. REQUIRES a successful plan (else throws wrong_state). Cannot fail, does not allocate.
  void commit() {
    cache().step_commit();
    cache_ = nullptr;
  }
  /// Undoes the whole step. Fine at any time, also on a step that is over.
  void abort() noexcept {
    if (cache_ != nullptr) cache_->step_abort();
    cache_ = nullptr;
  }
  bool open() const noexcept { return cache_ != nullptr; }
  bool planned() const noexcept { return cache_ != nullptr && cache_->step_planned(); }

 private:
  template <class, PositionPolicy, PageSizeChoice>
  friend class BasicKvCache;
  explicit BasicStep(Cache& cache) noexcept : cache_(&cache) {}
  Cache& cache() const {
    if (cache_ == nullptr) fail(Status::wrong_state, "the step is over: it was committed, aborted or moved from");
    return *cache_;
  }

  Cache* cache_;
};

template <class Cache>
BasicStep<Cache>& BasicStep<Cache>::operator=(BasicStep&& other) noexcept {
  if (this != &other) {
    abort();
    cache_ = other.cache_;
    other.cache_ = nullptr;
  }
  return *this;
}

}  // namespace anabranch
