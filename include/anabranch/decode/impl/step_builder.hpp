// StepBuilder: puts the operations of requests into a step of the cache. Once the step is committed, `settle` strikes
// off what it did.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <anabranch/decode/decoder_cache.hpp>
#include <anabranch/decode/impl/replay.hpp>
#include <anabranch/decode/impl/request_state.hpp>
#include <anabranch/decode/impl/structured_rows.hpp>

namespace anabranch::impl {

template <class State, DecoderCache Cache>
class StepBuilder {
 public:
  using BranchState = impl::BranchState<State>;
  using Request = RequestState<State>;
  using Step = typename Cache::Step;

  /// `with_drafts`: the branches that may have drafts are noted.
  StepBuilder(Cache& cache, Step& step, const Positions& positions, bool with_drafts)
      : cache_(cache), step_(step), positions_(positions), with_drafts_(with_drafts) {}

  /// Adds what is left of a request's round, but of its rows at most `n_rows`; more only where a pass has to hold the
  /// rows of a branch as a whole. What is left out waits for the next pass: branches in reading order, each with
  /// the front of what it has to do. REQUIRES: n_rows > 0.
  void add(Request& request, std::int32_t n_rows) {
    const std::int32_t n_before = n_rows_;
    first_row_ = n_rows_;
    n_left_ = n_rows;
    does_anything_ = false;
    forget_planned(request);
    const std::size_t first_place = places_.size();
    add_branch(request, request.edit(kTrunk));
    request.in_pass = n_rows_ > n_before || does_anything_;
    if (does_anything_) places_.resize(first_place, {nullptr, 0, 0});
    for (std::size_t k = first_place; k < places_.size(); ++k) places_[k].n_left = n_left_;
  }
  /// A branch that samples in the pass behind a token that it feeds. A pass that forks, joins or rewinds sequences of a
  /// request has no place for drafts of it: they would see segments that its commit makes whole (replay.hpp), which is
  /// not what they see in a pass of their own.
  struct DraftPlace {
    Request* request;
    BranchIndex branch;
    std::ptrdiff_t n_left;  ///< rows that the request may still have
  };
  /// Those of a request follow each other.
  std::span<const DraftPlace> places() const noexcept { return places_; }
  /// Adds drafts as rows, once all requests have theirs.
  void add_drafts(BranchState& branch) {
    for (std::size_t k = 0; k < branch.drafts.size(); ++k)
      step_.append(branch.sequence, {branch.chain.tokens[k]}, Logits::last);
    n_rows_ += static_cast<std::int32_t>(branch.drafts.size());
  }
  std::int32_t n_rows() const noexcept { return n_rows_; }
  /// Sequences that the step creates.
  std::int32_t n_created() const noexcept { return n_created_; }

 private:
  using Kind = Operation::Kind;

  /// Strikes off what a plan that came to nothing held of branches; this one may not reach them.
  static void forget_planned(Request& request) {
    for_each_in_cache(request, [&](BranchIndex i) {
      const BranchState& branch = request.branch(i);
      if (branch.n_planned == 0 && branch.n_planned_tokens == 0 && branch.n_planned_hold == branch.n_held &&
          branch.drafts.empty())
        return;
      BranchState& changed = request.edit(i);
      changed.n_planned = changed.n_planned_tokens = 0;
      changed.n_planned_hold = changed.n_held;
      changed.drafts.clear();
    });
  }

  /// False: something of the branch, or of a branch inside it, is left for another pass; or the pass leaves a segment
  /// of it cut (replay.hpp): then it is joined by a later pass.
  bool add_branch(Request& request, BranchState& branch) {
    if (branch.is_trunk() && !request.has_trunk) create_trunk(request, branch);
    if (!cache_.alive(branch.sequence))
      fail(Status::stale_sequence, "request ", static_cast<std::uint64_t>(request.id),
           " has lost the sequence of branch ", branch.index);
    branch.n_planned = branch.n_planned_tokens = 0;
    if (!branch.is_trunk()) hold(branch, branch.phase == Phase::queued ? 0 : branch.n_closing);
    if (branch.phase == Phase::queued) return false;
    bool has_all = branch.forked_block == kNoIndex || add_block(request, request.block(branch.forked_block));
    if (!add_operations(request, branch, has_all)) return false;
    const bool cuts = request.keeps_log && cuts_segment(request, branch.operations);
    const bool samples = branch.phase == Phase::running && branch.sampled.empty();
    if (samples && branch.operations.empty()) step_.request_logits(branch.sequence);  // forked without a prefix
    if (samples && with_drafts_ && !request.prefilling && !branch.operations.empty())
      places_.push_back({&request, branch.index, 0});
    return has_all && !cuts;
  }

  /// False: some are left. `has_all`: so is nothing of the branches of the block that is forked.
  bool add_operations(Request& request, BranchState& branch, bool& has_all) {
    bool is_begun = false;
    for (const Operation& op : branch.operations) {
      const bool pauses = op.kind == Kind::pause;
      if ((pauses && is_begun) || (op.kind == Kind::join && !has_all)) return false;
      if ((pauses || branch.n_planned == 0) && !has_room(request, branch, op)) return false;
      if (!add_operation(request, branch, op, has_all)) return false;
      is_begun = is_begun || !pauses;
      ++branch.n_planned;
    }
    return true;
  }

  /// Whether the pass may hold the branch's operations from `first` on. Up to the next pause, those that cut a segment
  /// and what stands beside them are held by one pass or not at all; the first rows of a request are always allowed.
  bool has_room(const Request& request, const BranchState& branch, const Operation& first) {
    bool is_whole = first.kind == Kind::pause && first.count == 1;
    std::ptrdiff_t n = 0;
    const Operation* const end = branch.operations.data() + branch.operations.size();
    for (const Operation* op = &first + (first.kind == Kind::pause ? 1 : 0); op != end; ++op) {
      if (op->kind == Kind::pause) break;
      n += std::ssize(op->to_feed());
      is_whole = is_whole || (request.keeps_log && !op->is_repeated && cuts_segment(request, *op));
    }
    if (!is_whole || n <= n_left_) return true;
    if (n_rows_ > first_row_) return false;
    n_left_ = n;
    return true;
  }

  void create_trunk(const Request& request, BranchState& branch) {
    check_room(request, 1 + request.n_transient);
    n_created_ += 1 + request.n_transient;
    const PrefixUse& use = request.prefix_use;
    const SequenceId prefix = use.sequence != kNoSequence ? use.sequence : request.options->prefix;
    const bool has_blocks = n_rows_of_blocks(request) > 0;
    if (prefix == kNoSequence) {
      branch.sequence = step_.create_sequence(has_blocks ? request.prompt->items().front().position : branch.start);
    } else {
      if (!cache_.alive(prefix) || cache_.n_tokens(prefix) != request.n_prefix ||
          (cache_.next_position(prefix) != branch.start && !has_blocks))
        fail(Status::stale_sequence, "request ", static_cast<std::uint64_t>(request.id),
             " has lost its prefix: it was dropped or changed before the request's first pass");
      step_.fork(prefix, std::span<SequenceId>(&branch.sequence, 1), {.positions = Positions::sequential});
      step_.detach(branch.sequence);
    }
    if (!has_blocks) return;
    n_rows_ += append_blocks(step_, branch.sequence, *request.prompt, request.statistics.n_reused);
    if (request.keeps_log) n_left_ = 0;  // a block that cuts a segment has a pass of its own (replay.hpp)
  }

  /// The sequences that requests need were left free for them (RequestStateMachine::n_sequences_left); only others can
  /// have taken it.
  void check_room(const Request& request, std::int32_t n) const {
    const std::int32_t n_most = cache_.options().max_sequences, n_there = cache_.n_sequences();
    if (n > n_most - n_there)
      fail(Status::limit_reached, "request ", static_cast<std::uint64_t>(request.id), " needs ", n,
           " more sequences; the cache has ", n_there, " of at most ", n_most,
           ": drop sequences that the decoder does not know, or cancel a request");
  }

  void hold(BranchState& branch, std::int32_t n_slots) {
    branch.n_planned_hold = n_slots;
    if (n_slots != branch.n_held) step_.hold(branch.sequence, n_slots);
  }

  bool add_block(Request& request, const Block& block) {
    bool has_all = true;
    for (BranchIndex i = block.first; i < block.end(); ++i) has_all = add_branch(request, request.edit(i)) && has_all;
    return has_all;
  }

  /// False: the rest has to wait for the next pass.
  bool add_operation(Request& request, BranchState& branch, const Operation& op, bool& has_all) {
    if (op.kind == Kind::feed) return add_tokens(branch, op);
    if (op.kind == Kind::rewind) step_.rewind(branch.sequence, cache_.n_tokens(branch.sequence) - op.count);
    if (op.kind == Kind::fork) has_all = add_fork(request, branch, request.block(op.block));
    if (op.kind == Kind::join) step_.join(branch.sequence, sequences_of(request, request.block(op.block)));
    does_anything_ = true;
    return true;
  }

  bool add_tokens(BranchState& branch, const Operation& op) {
    std::span<const TokenId> tokens = op.to_feed();
    if (std::ssize(tokens) > n_left_) {
      if (n_left_ == 0) return false;
      tokens = tokens.first(static_cast<std::size_t>(n_left_));
      branch.n_planned_tokens = tokens.size();
    }
    const bool whole = tokens.size() == op.to_feed().size();
    const bool samples =
        whole && branch.phase == Phase::running && branch.sampled.empty() && &op == &branch.operations.back();
    step_.append(branch.sequence, tokens, samples ? Logits::last : Logits::none);
    n_rows_ += static_cast<std::int32_t>(tokens.size());
    n_left_ -= std::ssize(tokens);
    return whole;
  }

  bool add_fork(Request& request, BranchState& branch, const Block& block) {
    check_room(request, block.n);
    n_created_ += block.n;
    BranchIndex i = block.first;
    for (const SequenceId sequence : step_.fork(branch.sequence, block.n, {.positions = positions_}))
      request.edit(i++).sequence = sequence;
    return add_block(request, block);
  }

  static std::vector<SequenceId> sequences_of(const Request& request, const Block& block) {
    std::vector<SequenceId> sequences;
    for (BranchIndex i = block.first; i < block.end(); ++i) sequences.push_back(request.branch(i).sequence);
    return sequences;
  }

  Cache& cache_;
  Step& step_;
  const Positions& positions_;
  bool with_drafts_;
  std::int32_t n_rows_ = 0;
  std::int32_t n_created_ = 0;
  std::int32_t first_row_ = 0;  // of the request that is being added
  std::ptrdiff_t n_left_ = 0;   // rows that it may still have
  bool does_anything_ = false;  // beside them
  std::vector<DraftPlace> places_;
};

/// Strikes off what the planned step holds of a branch. Returns how many sequences the step created for it. REQUIRES:
/// the branches inside it are settled.
template <class State>
std::int32_t settle(RequestState<State>& request, BranchState<State>& branch) {
  std::int32_t n_created = 0;
  if (request.keeps_log) log_planned(request, branch);
  const auto done = std::span(branch.operations).first(branch.n_planned);
  for (const Operation& op : done) {
    if (op.kind == Operation::Kind::fork) {
      branch.forked_block = op.block;
      n_created += request.block(op.block).n;
    }
    if (op.kind == Operation::Kind::join) {
      branch.forked_block = kNoIndex;
      request.edit(op.block).ends.clear();
    }
  }
  branch.operations.erase(branch.operations.begin(), branch.operations.begin() + std::ssize(done));
  if (branch.n_planned_tokens > 0) branch.operations.front().n_fed += branch.n_planned_tokens;
  branch.n_planned = branch.n_planned_tokens = 0;
  branch.n_held = branch.n_planned_hold;
  return n_created;
}

/// Strikes off the operations that the planned step holds. Returns how many sequences the step created.
template <class State>
std::int32_t settle(RequestState<State>& request) {
  std::vector<BranchIndex> changed;
  for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState<State>& branch = request.branch(i);
    if (branch.n_planned > 0 || branch.n_planned_tokens > 0 || branch.n_planned_hold != branch.n_held)
      changed.push_back(i);
  });
  std::int32_t n_created = request.has_trunk ? 0 : 1 + request.n_transient;
  request.has_trunk = true;
  for (std::size_t k = changed.size(); k-- > 0;) n_created += settle(request, request.edit(changed[k]));
  if (request.trunk().operations.empty()) request.prefilling = false;
  request.n_sequences_due -= n_created;
  return n_created;
}

}  // namespace anabranch::impl
