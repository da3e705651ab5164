// Stage: puts what is to be done into a step, and strikes it off when the step is committed.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/impl/track.hpp>

namespace anabranch::impl {

template <class Cache, class State>
class Stage {
 public:
  using Step = typename Cache::Step;
  using TrackT = Track<State>;
  using RequestT = Request<State>;

  /// `guess`: with the lines' guesses.
  Stage(Cache& cache, Step& step, const Positions& positions, bool guess)
      : cache_(cache), step_(step), positions_(positions), guess_(guess) {}

  /// Everything that a request has to do in this pass; of a prompt at most `n_prompt_rows`.
  void put(RequestT& r, std::int32_t n_prompt_rows) {
    const std::int32_t n_before = n_rows_;
    n_prompt_rows_ = n_prompt_rows;
    put_track(r, r.edit(kTrunk));
    r.in_pass = n_rows_ > n_before;
  }
  std::int32_t n_rows() const noexcept { return n_rows_; }
  bool has_guesses() const noexcept { return has_guesses_; }

 private:
  void put_track(RequestT& r, TrackT& t) {
    if (t.parent == kNone && !cache_.alive(t.line)) t.line = step_.create_line(t.start);
    t.n_staged = t.n_staged_tokens = 0;
    if (t.phase == Phase::queued) return step_.hold(t.line, 0);
    if (t.forked_block != kNone) put_block(r, t.forked_block);
    for (const Operation& op : t.operations) {
      if (!put_operation(r, t, op)) return;
      ++t.n_staged;
    }
    if (t.phase == Phase::running && t.operations.empty()) step_.request_logits(t.line);  // forked without a prefix
    if (guess_ && !r.prefilling && t.phase == Phase::running) put_guesses(t);
    if (t.parent != kNone) step_.hold(t.line, t.n_closing);
  }

  void put_block(RequestT& r, std::int32_t block) {
    const Block& b = r.block(block);
    for (std::int32_t k = 0; k < b.n; ++k) put_track(r, r.edit(b.first + k));
  }

  /// False: the rest of the prompt has to wait for the next pass.
  bool put_operation(RequestT& r, TrackT& t, const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::feed: return put_tokens(r, t, op);
      case Operation::Kind::rewind: step_.rewind(t.line, cache_.n_tokens(t.line) - op.count); return true;
      case Operation::Kind::fork: put_fork(r, t, op.count); return true;
      case Operation::Kind::join: step_.join(t.line, lines_of(r, op.count)); return true;
    }
    return true;
  }

  bool put_tokens(RequestT& r, TrackT& t, const Operation& op) {
    std::span<const TokenId> tokens(op.tokens);
    const bool is_prompt = t.parent == kNone && r.prefilling;
    if (is_prompt && static_cast<std::int32_t>(tokens.size()) > n_prompt_rows_) {
      t.n_staged_tokens = n_prompt_rows_;
      tokens = tokens.first(static_cast<std::size_t>(n_prompt_rows_));
    }
    const bool whole = tokens.size() == op.tokens.size();
    const bool sample = whole && t.phase == Phase::running && &op == &t.operations.back();
    step_.append(t.line, tokens, sample ? Logits::last : Logits::none);
    n_rows_ += static_cast<std::int32_t>(tokens.size());
    return whole;
  }

  void put_guesses(const TrackT& t) {
    for (const auto& guess : t.guesses) {
      step_.append(t.line, {guess.token}, Logits::last);
      has_guesses_ = true;
      ++n_rows_;
    }
  }

  void put_fork(RequestT& r, TrackT& t, std::int32_t block) {
    const Block& b = r.block(block);
    const std::vector<LineId> lines = step_.fork(t.line, b.n, {.positions = positions_});
    for (std::int32_t k = 0; k < b.n; ++k) r.edit(b.first + k).line = lines[static_cast<std::size_t>(k)];
    put_block(r, block);
  }

  std::vector<LineId> lines_of(const RequestT& r, std::int32_t block) const {
    std::vector<LineId> lines;
    const Block& b = r.block(block);
    for (std::int32_t k = 0; k < b.n; ++k) lines.push_back(r.track(b.first + k).line);
    return lines;
  }

  Cache& cache_;
  Step& step_;
  const Positions& positions_;
  bool guess_;
  bool has_guesses_ = false;
  std::int32_t n_rows_ = 0;
  std::int32_t n_prompt_rows_ = 0;
};

template <class State>
void settle(Track<State>& t) noexcept {
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
  for (std::size_t i = 0; i < r.tracks.size(); ++i) {
    const auto index = static_cast<BranchIndex>(i);
    if (r.track(index).n_staged > 0 || r.track(index).n_staged_tokens > 0) settle(r.edit(index));
  }
}

}  // namespace anabranch::impl
