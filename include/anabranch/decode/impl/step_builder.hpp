// StepBuilder: puts what is to be done into a step, and strikes it off when the step is committed.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/impl/branch_state.hpp>

namespace anabranch::impl {

template <class Cache, class State>
class StepBuilder {
 public:
  using Step = typename Cache::Step;
  using BranchT = BranchState<State>;
  using RequestT = Request<State>;

  /// `draft`: with the sequences' drafts.
  StepBuilder(Cache& cache, Step& step, const Positions& positions, bool draft)
      : cache_(cache), step_(step), positions_(positions), draft_(draft) {}

  /// Everything that a request has to do in this pass; of a prompt at most `n_prompt_rows`.
  void put(RequestT& r, std::int32_t n_prompt_rows) {
    const std::int32_t n_before = n_rows_;
    n_prompt_rows_ = n_prompt_rows;
    put_branch(r, r.edit(kTrunk));
    r.in_pass = n_rows_ > n_before;
  }
  std::int32_t n_rows() const noexcept { return n_rows_; }
  bool has_drafts() const noexcept { return has_drafts_; }

 private:
  void put_branch(RequestT& r, BranchT& t) {
    if (t.parent == kNone && !cache_.alive(t.sequence)) t.sequence = step_.create_sequence(t.start);
    t.n_staged = t.n_staged_tokens = 0;
    if (t.phase == Phase::queued) return step_.hold(t.sequence, 0);
    if (t.forked_block != kNone) put_block(r, t.forked_block);
    for (const Operation& op : t.operations) {
      if (!put_operation(r, t, op)) return;
      ++t.n_staged;
    }
    if (t.phase == Phase::running && t.operations.empty()) step_.request_logits(t.sequence);  // forked without a prefix
    if (draft_ && !r.prefilling && t.phase == Phase::running) put_drafts(t);
    if (t.parent != kNone) step_.hold(t.sequence, t.n_closing);
  }

  void put_block(RequestT& r, std::int32_t block) {
    const Block& b = r.block(block);
    for (std::int32_t k = 0; k < b.n; ++k) put_branch(r, r.edit(b.first + k));
  }

  /// False: the rest of the prompt has to wait for the next pass.
  bool put_operation(RequestT& r, BranchT& t, const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::feed: return put_tokens(r, t, op);
      case Operation::Kind::rewind: step_.rewind(t.sequence, cache_.n_tokens(t.sequence) - op.count); return true;
      case Operation::Kind::fork: put_fork(r, t, op.count); return true;
      case Operation::Kind::join: step_.join(t.sequence, sequences_of(r, op.count)); return true;
    }
    return true;
  }

  bool put_tokens(RequestT& r, BranchT& t, const Operation& op) {
    std::span<const TokenId> tokens(op.tokens);
    const bool is_prompt = t.parent == kNone && r.prefilling;
    if (is_prompt && static_cast<std::int32_t>(tokens.size()) > n_prompt_rows_) {
      t.n_staged_tokens = n_prompt_rows_;
      tokens = tokens.first(static_cast<std::size_t>(n_prompt_rows_));
    }
    const bool whole = tokens.size() == op.tokens.size();
    const bool sample = whole && t.phase == Phase::running && &op == &t.operations.back();
    step_.append(t.sequence, tokens, sample ? Logits::last : Logits::none);
    n_rows_ += static_cast<std::int32_t>(tokens.size());
    return whole;
  }

  void put_drafts(const BranchT& t) {
    for (const auto& draft : t.drafts) {
      step_.append(t.sequence, {draft.token}, Logits::last);
      has_drafts_ = true;
      ++n_rows_;
    }
  }

  void put_fork(RequestT& r, BranchT& t, std::int32_t block) {
    const Block& b = r.block(block);
    const std::vector<SequenceId> sequences = step_.fork(t.sequence, b.n, {.positions = positions_});
    for (std::int32_t k = 0; k < b.n; ++k) r.edit(b.first + k).sequence = sequences[static_cast<std::size_t>(k)];
    put_block(r, block);
  }

  std::vector<SequenceId> sequences_of(const RequestT& r, std::int32_t block) const {
    std::vector<SequenceId> sequences;
    const Block& b = r.block(block);
    for (std::int32_t k = 0; k < b.n; ++k) sequences.push_back(r.branch(b.first + k).sequence);
    return sequences;
  }

  Cache& cache_;
  Step& step_;
  const Positions& positions_;
  bool draft_;
  bool has_drafts_ = false;
  std::int32_t n_rows_ = 0;
  std::int32_t n_prompt_rows_ = 0;
};

template <class State>
void settle(BranchState<State>& t) noexcept {
  for (std::int32_t i = 0; i < t.n_staged; ++i) {
    const Operation& op = t.operations[static_cast<std::size_t>(i)];
    if (op.kind == Operation::Kind::fork) t.forked_block = op.count;
    if (op.kind == Operation::Kind::join) t.forked_block = kNone;
  }
  t.operations.erase(t.operations.begin(), t.operations.begin() + t.n_staged);
  if (t.n_staged_tokens > 0) {
    std::vector<TokenId>& tokens = t.operations.front().tokens;
    tokens.erase(tokens.begin(), tokens.begin() + t.n_staged_tokens);
  }
  t.n_staged = t.n_staged_tokens = 0;
}

/// Strikes off what the planned step does.
template <class State>
void settle(Request<State>& r) {
  if (r.trunk().n_staged_tokens == 0) r.prefilling = false;
  for (std::size_t i = 0; i < r.branches.size(); ++i) {
    const auto index = static_cast<BranchIndex>(i);
    if (r.branch(index).n_staged > 0 || r.branch(index).n_staged_tokens > 0) settle(r.edit(index));
  }
}

}  // namespace anabranch::impl
