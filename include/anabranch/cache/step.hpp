// One step of a cache: a transaction.
//
//   begin_step -> create_sequence / append / append_unknown / fork / join / rewind / adopt / drop / detach / hold
//              -> plan -> reject, where rows were drafts -> commit or abort
//
// Nothing that a step does is final before commit, not even after the model ran: abort, also by destroying the step,
// brings everything back. After a plan only reject, commit or abort are allowed; after a shortage the step may be
// changed and planned again. A call that throws has changed nothing. Reads of the cache see the step's own state.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include <anabranch/cache/impl/cache_core.hpp>
#include <anabranch/plan/step_plan.hpp>
#include <anabranch/tree/options.hpp>
#include <anabranch/types.hpp>

namespace anabranch {

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
class BasicKvCache;

template <class Payload, PositionPolicy Policy, PageSizeChoice PageSize>
class BasicStep {
 public:
  using Options = BasicForkOptions<Policy>;

  BasicStep(BasicStep&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  BasicStep& operator=(BasicStep&& other) noexcept {
    if (this == &other) return *this;
    abort();
    core_ = std::exchange(other.core_, nullptr);
    return *this;
  }
  BasicStep(const BasicStep&) = delete;
  BasicStep& operator=(const BasicStep&) = delete;
  ~BasicStep() { abort(); }

  /// A new root whose first token gets position `first`.
  SequenceId create_sequence(Position first = 0) { return core().create_sequence(first); }

  /// Adds tokens to a sequence: one row each; none, and no output, for an empty list. O(tokens). Throws out_of_range
  /// past the sequence's last position.
  void append(SequenceId sequence, std::span<const TokenId> tokens, Logits logits = Logits::none) {
    changing("append").append(sequence, tokens, 0, logits);
  }
  void append(SequenceId sequence, std::initializer_list<TokenId> tokens, Logits logits = Logits::none) {
    append(sequence, std::span<const TokenId>(tokens.begin(), tokens.size()), logits);
  }
  template <std::integral NoList>
  void append(SequenceId, NoList, Logits = Logits::none) = delete;  // a token: {token}; a count: append_unknown
  /// Adds `n` tokens that the host will only know on its device: one row each, with kUnknownToken in the plan.
  void append_unknown(SequenceId sequence, std::int32_t n, Logits logits = Logits::none) {
    changing("append_unknown").append(sequence, {}, n, logits);
  }
  /// Logits of the sequence's last token, which must be a row of this step: what a fork without tokens samples from.
  void request_logits(SequenceId sequence) { changing("request_logits").request_logits(sequence); }

  /// Splits a sequence into children that see what it sees now. O(children), copies no K/V.
  std::vector<SequenceId> fork(SequenceId parent, std::int32_t n, const Options& options = {}) {
    if (n < 1) fail(Status::bad_argument, "fork into ", n, " children; at least 1 is needed");
    check_new(parent, n);  // before there is memory for them
    std::vector<SequenceId> children(impl::offset_of(n));
    fork(parent, std::span<SequenceId>(children), options);
    return children;
  }
  void fork(SequenceId parent, std::span<SequenceId> children, const Options& options = {}) {
    const auto n = static_cast<std::int32_t>(children.size());
    check_new(parent, n);
    core_->reserve_payloads(n);
    core_->tree.fork(parent, children, options);
    for (const SequenceId child : children) core_->reset_payload(child);
  }
  /// Appends the children's own tokens to the parent's history in the given order; their ids go stale. O(views).
  /// An empty list appends nothing, but counts as a join for `reject`.
  /// To join a child truncated, rewind it first.
  void join(SequenceId parent, std::span<const SequenceId> children, const JoinOptions& options = {}) {
    changing("join").join(parent, children, options);
  }
  void join(SequenceId parent, std::initializer_list<SequenceId> children, const JoinOptions& options = {}) {
    join(parent, std::span<const SequenceId>(children.begin(), children.size()), options);
  }
  /// Shortens a sequence to the first `n_tokens` that it sees: not below its own fork, nor the fork of an open child.
  /// O(views given up + appends and requested outputs of its last segment in this step).
  void rewind(SequenceId sequence, std::int32_t n_tokens) { changing("rewind").rewind(sequence, n_tokens); }
  /// The parent takes the child's history, next position and children. What it wrote since the fork and its other
  /// children are dropped. O(sequences below the parent).
  void adopt(SequenceId parent, SequenceId child) { changing("adopt").adopt(parent, child); }
  /// Forgets a sequence and its descendants.
  void drop(SequenceId sequence) { changing("drop").drop(sequence); }
  /// Makes a branch a root of its own; it can no longer be joined.
  void detach(SequenceId sequence) { changing("detach").detach(sequence); }
  /// From this step's plan on the sequence keeps at least `n_slots` free slots of its own beside what it appends.
  /// A step that changes the sequence costs O(pages held) more.
  void hold(SequenceId sequence, std::int32_t n_slots) { changing("hold").hold(sequence, n_slots); }

  /// Reserves pages and describes the pass. The plan is valid until commit or abort. A step that only joins, rewinds or
  /// drops is planned too before it can be committed: its plan has no rows, and nothing is to be run.
  [[nodiscard]] PlanResult plan() { return core().plan(); }
  /// After the plan: the last `n` of the rows that the sequence itself writes there were drafts that the pass has
  /// proved wrong. They stay rows of the plan, but the sequence ends before them, and the commit gives their slots
  /// back, as if they had never been appended. Another call takes the place of the one before; 0 keeps all. Costs
  /// nothing, and nothing is cut, unlike a rewind in the next step. Rows that the sequence wrote before this step
  /// forked it or joined into it cannot be rejected. Throws bad_argument for more rows than that, wrong_state without a
  /// plan.
  void reject(SequenceId sequence, std::int32_t n) { need_plan("reject in").tree.reject(sequence, n); }
  /// Makes the step final. REQUIRES a successful plan (else throws wrong_state). Cannot fail, does not allocate.
  void commit() {
    need_plan("commit of").tree.commit();
    core_->planner.commit();
    end();
  }
  /// Undoes the whole step. Fine at any time, also on a step that is over.
  void abort() noexcept {
    if (core_ == nullptr) return;
    core_->tree.abort();
    core_->planner.abort();
    end();
  }
  bool open() const noexcept { return core_ != nullptr; }
  bool planned() const noexcept { return core_ != nullptr && core_->planned; }

 private:
  friend class BasicKvCache<Payload, Policy, PageSize>;
  using Core = impl::CacheCore<Payload, Policy, PageSize>;

  explicit BasicStep(Core& core) noexcept : core_(&core) {}
  /// Throws wrong_state when the step is over.
  Core& core() const {
    if (core_ == nullptr) fail(Status::wrong_state, "the step is over: it was committed, aborted or moved from");
    return *core_;
  }
  /// The tree, for a call that changes it. Throws wrong_state when the step is over or planned.
  BranchTree<Policy, PageSize>& changing(const char* call) const {
    core().need_unplanned(call);
    return core_->tree;
  }
  /// Throws as a fork of `parent` into `n` children would that is too early, too late, or past a limit.
  void check_new(SequenceId parent, std::int32_t n) const {
    const SequenceTable<Policy>& sequences = changing("fork").sequences();
    sequences.check_limits(sequences.find(parent), n);
  }
  Core& need_plan(const char* call) const {
    if (!core().planned) fail(Status::wrong_state, call, " a step that has no plan; call plan first");
    return *core_;
  }
  void end() noexcept {
    core_->in_step = core_->planned = false;
    core_ = nullptr;
  }

  Core* core_;
};

}  // namespace anabranch
