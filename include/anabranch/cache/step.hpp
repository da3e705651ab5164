// One step of a cache: a transaction.
//
//   begin_step -> create_line / append / fork / join / rewind / adopt / drop / detach / hold
//              -> plan -> leave_out, where rows were guesses -> commit or abort
//
// Nothing that a step does is final before commit, not even after the model ran: abort, also by destroying the step,
// brings everything back. After a plan only leave_out, commit or abort are allowed; after a shortage the step may be
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
  LineId create_line(Position first = 0) { return cache().step_create_line(first); }

  /// Adds tokens to a line: one row each. O(tokens). Throws out_of_range past the line's last position.
  void append(LineId line, std::span<const TokenId> tokens, Logits logits = Logits::none) {
    cache().step_append(line, tokens, 0, logits);
  }
  void append(LineId line, std::initializer_list<TokenId> tokens, Logits logits = Logits::none) {
    append(line, std::span<const TokenId>(tokens.begin(), tokens.size()), logits);
  }
  /// `n` tokens that the host will only know on its device.
  void append(LineId line, std::int32_t n, Logits logits = Logits::none) { cache().step_append(line, {}, n, logits); }
  /// Logits of the line's last token, which must be a row of this step: what a fork without tokens samples from.
  void request_logits(LineId line) { cache().step_request_logits(line); }

  /// Splits a line into children that see what it sees now. O(children), copies no K/V.
  std::vector<LineId> fork(LineId parent, std::int32_t n, const Options& options = {}) {
    if (n < 1) fail(Status::bad_argument, "fork into " + std::to_string(n) + " children; at least 1 is needed");
    cache().check_new_lines(parent, n);
    std::vector<LineId> children(static_cast<std::size_t>(n));
    fork(parent, std::span<LineId>(children), options);
    return children;
  }
  void fork(LineId parent, std::span<LineId> children, const Options& options = {}) {
    cache().step_fork(parent, children, options);
  }
  /// Appends the children's own tokens to the parent's history in the given order; their ids go stale. O(views).
  /// To join a child truncated, rewind it first.
  void join(LineId parent, std::span<const LineId> children, const JoinOptions& options = {}) {
    cache().step_join(parent, children, options);
  }
  void join(LineId parent, std::initializer_list<LineId> children, const JoinOptions& options = {}) {
    join(parent, std::span<const LineId>(children.begin(), children.size()), options);
  }
  /// Shortens a line to the first `n_tokens` that it sees: not below its own fork, nor the fork of an open child.
  void rewind(LineId line, std::int32_t n_tokens) { cache().step_rewind(line, n_tokens); }
  /// The parent takes the child's history, next position and children. What it wrote since the fork and its other
  /// children are dropped. O(lines below the parent).
  void adopt(LineId parent, LineId child) { cache().step_adopt(parent, child); }
  /// Forgets a line and its descendants.
  void drop(LineId line) { cache().step_drop(line); }
  /// Makes a branch a root of its own; it can no longer be joined.
  void detach(LineId line) { cache().step_detach(line); }
  /// From this step's plan on the line keeps at least `n_slots` free slots of its own beside what it appends.
  void hold(LineId line, std::int32_t n_slots) { cache().step_hold(line, n_slots); }

  /// Reserves pages and describes the pass. The plan is valid until commit or abort.
  PlanResult plan() { return cache().step_plan(); }
  /// After the plan: the last `n` of the rows that the line itself writes there were guesses that the pass has proved
  /// wrong. They stay rows of the plan, but the line ends before them, and the commit gives their slots back, as if
  /// they had never been appended. Another call takes the place of the one before; 0 keeps all. Costs nothing, and
  /// nothing is cut, unlike a rewind in the next step. Throws bad_argument for more rows than that, wrong_state without
  /// a plan.
  void leave_out(LineId line, std::int32_t n) { cache().step_leave_out(line, n); }
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
