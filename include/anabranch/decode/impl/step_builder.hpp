// StepBuilder: puts the operations of requests into a step of the cache. Once the step is committed, `settle` strikes
// off what it did.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <anabranch/decode/decoder_cache.hpp>
#include <anabranch/decode/impl/request_state.hpp>
#include <anabranch/decode/impl/structured_rows.hpp>

namespace anabranch::impl {

template <class State, DecoderCache Cache>
class StepBuilder {
 public:
  using BranchState = impl::BranchState<State>;
  using Request = RequestState<State>;
  using Step = typename Cache::Step;

  /// `with_drafts`: the step holds the branches' drafts too.
  StepBuilder(Cache& cache, Step& step, const Positions& positions, bool with_drafts)
      : cache_(cache), step_(step), positions_(positions), with_drafts_(with_drafts) {}

  /// Adds everything that a request has to do in this pass; of a prompt at most `n_prompt_rows`.
  void add(Request& request, std::int32_t n_prompt_rows) {
    const std::int32_t n_before = n_rows_;
    n_prompt_rows_ = n_prompt_rows;
    add_branch(request, request.edit(kTrunk));
    request.in_pass = n_rows_ > n_before;
  }
  std::int32_t n_rows() const noexcept { return n_rows_; }
  /// Sequences that the step creates.
  std::int32_t n_created() const noexcept { return n_created_; }
  bool has_drafts() const noexcept { return has_drafts_; }

 private:
  void add_branch(Request& request, BranchState& branch) {
    if (branch.is_trunk() && !request.has_trunk) create_trunk(request, branch);
    if (!cache_.alive(branch.sequence))
      fail(Status::stale_sequence, "request ", static_cast<std::uint64_t>(request.id),
           " has lost the sequence of branch ", branch.index);
    branch.n_planned = branch.n_planned_tokens = 0;
    if (!branch.is_trunk()) hold(branch, branch.phase == Phase::queued ? 0 : branch.n_closing);
    if (branch.phase == Phase::queued) return;
    if (branch.forked_block != kNoIndex) add_block(request, request.block(branch.forked_block));
    for (const Operation& op : branch.operations) {
      if (!add_operation(request, branch, op)) return;
      ++branch.n_planned;
    }
    const bool samples_from_parent = branch.operations.empty();  // it was forked without a prefix
    if (branch.phase == Phase::running && samples_from_parent) step_.request_logits(branch.sequence);
    if (with_drafts_ && !request.prefilling && branch.phase == Phase::running) add_drafts(branch);
  }

  void create_trunk(const Request& request, BranchState& branch) {
    check_room(request, 1 + request.n_transient);
    n_created_ += 1 + request.n_transient;
    const PrefixUse& use = request.prefix_use;
    const SequenceId prefix = use.sequence != kNoSequence ? use.sequence : request.options->prefix;
    const bool has_blocks = request.n_structured > request.statistics.n_reused;
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
    if (has_blocks) n_rows_ += append_blocks(step_, branch.sequence, *request.prompt, request.statistics.n_reused);
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

  void add_block(Request& request, const Block& block) {
    for (BranchIndex i = block.first; i < block.end(); ++i) add_branch(request, request.edit(i));
  }

  /// False: the rest of the prompt has to wait for the next pass.
  bool add_operation(Request& request, BranchState& branch, const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::feed: return add_tokens(request, branch, op);
      case Operation::Kind::rewind:
        step_.rewind(branch.sequence, cache_.n_tokens(branch.sequence) - op.count);
        return true;
      case Operation::Kind::fork: add_fork(request, branch, request.block(op.block)); return true;
      case Operation::Kind::join:
        step_.join(branch.sequence, sequences_of(request, request.block(op.block)));
        return true;
    }
    return true;
  }

  bool add_tokens(Request& request, BranchState& branch, const Operation& op) {
    std::span<const TokenId> tokens = op.to_feed();
    const bool is_prompt = branch.is_trunk() && request.prefilling;
    if (is_prompt && std::ssize(tokens) > n_prompt_rows_) {
      tokens = {tokens.begin(), tokens.begin() + n_prompt_rows_};
      branch.n_planned_tokens = tokens.size();
    }
    const bool whole = tokens.size() == op.to_feed().size();
    const bool samples = whole && branch.phase == Phase::running && &op == &branch.operations.back();
    step_.append(branch.sequence, tokens, samples ? Logits::last : Logits::none);
    n_rows_ += static_cast<std::int32_t>(tokens.size());
    return whole;
  }

  void add_drafts(const BranchState& branch) {
    for (const auto& draft : branch.drafts) {
      step_.append(branch.sequence, {draft.token}, Logits::last);
      has_drafts_ = true;
      ++n_rows_;
    }
  }

  void add_fork(Request& request, BranchState& branch, const Block& block) {
    check_room(request, block.n);
    n_created_ += block.n;
    BranchIndex i = block.first;
    for (const SequenceId sequence : step_.fork(branch.sequence, block.n, {.positions = positions_}))
      request.edit(i++).sequence = sequence;
    add_block(request, block);
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
  bool has_drafts_ = false;
  std::int32_t n_rows_ = 0;
  std::int32_t n_created_ = 0;
  std::int32_t n_prompt_rows_ = 0;
};

/// Strikes off what the planned step holds of a branch. Returns how many sequences the step created for it.
template <class State>
std::int32_t settle(RequestState<State>& request, BranchState<State>& branch) {
  std::int32_t n_created = 0;
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
  if (request.trunk().n_planned_tokens == 0) request.prefilling = false;
  std::vector<BranchIndex> changed;
  for_each_in_cache(request, [&](BranchIndex i) {
    const BranchState<State>& branch = request.branch(i);
    if (branch.n_planned > 0 || branch.n_planned_tokens > 0 || branch.n_planned_hold != branch.n_held)
      changed.push_back(i);
  });
  std::int32_t n_created = request.has_trunk ? 0 : 1 + request.n_transient;
  request.has_trunk = true;
  for (const BranchIndex i : changed) n_created += settle(request, request.edit(i));
  request.n_sequences_due -= n_created;
  return n_created;
}

}  // namespace anabranch::impl
