// RequestStateMachine: decides what a sampled token does to its request. It records operations and events, and never
// touches the cache.
//
// A call that throws leaves the request and the events half changed, so its caller passes copies
// (request_transaction.hpp). A BranchState that is passed to be changed comes from RequestState::edit.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/branch_text.hpp>
#include <anabranch/decode/impl/logit_blocks.hpp>
#include <anabranch/decode/impl/position_budget.hpp>
#include <anabranch/decode/impl/request_state.hpp>
#include <anabranch/decode/impl/request_transaction.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::impl {

template <Markup M, Detokenizer Text, DecoderCache Cache>
class RequestStateMachine {
 public:
  using State = typename M::State;
  using Request = RequestState<State>;
  using BranchState = impl::BranchState<State>;
  using Action = markup::Action;

  RequestStateMachine(const Cache& cache, M markup, Text text, DecoderOptions options)
      : cache_(&cache),
        markup_(std::move(markup)),
        text_(std::move(text)),
        options_(std::move(options)),
        budget_(cache, options_.positions) {}
  RequestStateMachine(const RequestStateMachine&) = delete;
  RequestStateMachine& operator=(const RequestStateMachine&) = delete;

  const M& markup() const noexcept { return markup_; }
  const DecoderOptions& options() const noexcept { return options_; }
  const PositionBudget<State, Cache>& budget() const noexcept { return budget_; }
  std::vector<Event>& events() noexcept { return events_; }
  SequencesDue& sequences_due() noexcept { return sequences_due_; }
  /// Sequences that can still be added to the cache once all running requests have those that they are due.
  std::int64_t n_sequences_left() const {
    return cache_->options().max_sequences - cache_->n_sequences() - (sequences_due_.n - sequences_due_.n_in_step);
  }

  /// Adds the special tokens that stop texts name. Throws bad_request, and what the text throws.
  void add_stop_tokens(RequestOptions& options) const {
    if constexpr (FindsStopTokens<Text>)
      for (const std::string& stop : options.stop)
        if (const TokenId token = text_.stop_token(stop); token != kUnknownToken) options.stop_tokens.push_back(token);
  }

  /// Starts a request whose prompt is in the trunk's operations: adds what the markup forces after it, and allows the
  /// first token.
  void open(Request& request);
  /// Continues the trunk where an earlier request left it.
  void resume_trunk(Request& request) { continue_branch(request, request.edit(kTrunk)); }
  /// Takes the token that a branch has sampled.
  void accept(Request& request, BranchState& branch, const SampledToken& sampled);
  /// Appends the tags that the markup thinks likely to come next, one after the other.
  void propose_tags(const BranchState& branch, DraftChain& chain, std::int32_t n_most) const;
  /// Makes rows of the first `n` tokens of the branch's chain, or of fewer: each has to be one that may be sampled and
  /// after which the markup wants nothing but the next token.
  void check_drafts(const Request& request, BranchState& branch, std::int32_t n) const;
  /// Chooses the branches that take part in the next pass. Called once all branches have taken their tokens.
  void admit_branches(Request& request);
  /// Ends a request: open branches are closed as the markup wants, joined, and reported.
  void close(Request& request, EndReason reason);
  /// Ends a request whose history is not wanted any more. Never calls the markup.
  void abandon(Request& request, EndReason reason);

 private:
  // request_state_machine.hpp: one branch
  void apply(Request& request, BranchState& branch, Action action, const SampledToken* sampled, EndReason reason);
  void take_back(Request& request, BranchState& branch, std::int32_t n, std::int32_t n_unfed);
  bool force(Request& request, BranchState& branch, const markup::Forced& forced);
  void record(Request& request, BranchState& branch, markup::ForcedToken token, const SampledToken* sampled);
  static void keep_log_probabilities(const Request& request, BranchState& branch, const SampledToken* sampled);
  void count(Request& request, const BranchState& branch, markup::Role role) const noexcept;
  void continue_branch(Request& request, BranchState& branch);
  bool ensure_row(const Request& request, BranchState& branch) const;
  EndReason allow_token(Request& request, BranchState& branch) const;
  void close_branch(Request& request, BranchState& branch, EndReason reason);
  Action end_of_text(BranchState& branch) const;
  bool is_end_of_text(TokenId token) const;
  static bool is_stop_token(const Request& request, TokenId token);
  static bool only_samples(const Action& action) noexcept {
    return action.next == Action::Next::sample && action.forget == 0 && action.forced.empty();
  }
  void stop_at_token(Request& request, BranchState& branch);
  std::int32_t n_closing_tokens(const State& s) const;
  Event& emit(Event::Kind kind, const Request& request, const BranchState& branch);
  // request_state_machine_blocks.hpp: blocks, and the end of a request
  void fork(Request& request, BranchState& branch, std::vector<markup::Seed> seeds);
  void report_fork(Request& request, BranchState& branch, const std::vector<markup::Seed>& seeds);
  EndReason add_block(Request& request, BranchState& branch, const std::vector<markup::Seed>& seeds);
  void add_child(Request& request, const BranchState& parent, BlockIndex block, std::int32_t k);
  void start_child(Request& request, BranchState& branch, const markup::Forced& prefix);
  void refuse(Request& request, BranchState& branch, EndReason reason);
  void end_branch(Request& request, BranchState& branch, EndReason reason);
  void report_branch_end(Request& request, BranchState& branch, EndReason reason);
  void join(Request& request, BranchState& branch);
  void resume(Request& request, BranchState& branch);
  void close_tree(Request& request, BranchState& branch, EndReason reason);
  void finish(Request& request, EndReason reason);

  const Cache* cache_;
  M markup_;
  Text text_;
  DecoderOptions options_;
  PositionBudget<State, Cache> budget_;
  std::vector<Event> events_;  // not taken yet
  SequencesDue sequences_due_;
};

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::open(Request& request) {
  BranchState& trunk = request.edit(kTrunk);
  if constexpr (MarkupWithOpening<M>)
    apply(request, trunk, markup_.open(trunk.state), nullptr, EndReason::finished);
  else
    continue_branch(request, trunk);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::accept(Request& request, BranchState& branch, const SampledToken& sampled) {
  budget_.turn_to(request, branch.index);
  request.n_allowed -= branch.n_allowed;
  branch.n_allowed = 0;
  ++branch.n_sampled;
  ++request.statistics.n_sampled;
  if (is_end_of_text(sampled.token))
    apply(request, branch, end_of_text(branch), &sampled, EndReason::end_of_text);
  else if (is_stop_token(request, sampled.token))
    stop_at_token(request, branch);
  else
    apply(request, branch, markup_.next(branch.state, sampled.token), &sampled, EndReason::end_tag);
}

/// Does what the markup wants, as far as tokens, positions and depth allow.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::apply(Request& request, BranchState& branch, Action action,
                                                const SampledToken* sampled, EndReason reason) {
  using Next = Action::Next;
  if (action.forget > 0) {
    take_back(request, branch, action.forget, sampled != nullptr ? 1 : 0);
  } else if (sampled != nullptr) {
    feed(branch, sampled->token);
    record(request, branch, {sampled->token, action.role}, sampled);
    if (branch.stream_of_text.stopped()) return close(request, EndReason::stop);
  }
  const bool ends = action.next == Next::end_branch || action.next == Next::finish;
  if (ends) branch.n_closing = 0;  // the positions that were kept free are for these tokens
  if (!force(request, branch, action.forced)) return close_branch(request, branch, EndReason::range);
  if (action.next == Next::sample) return continue_branch(request, branch);
  if (action.next == Next::fork) return fork(request, branch, std::move(action.seeds));
  if (action.next == Next::end_branch && !branch.is_trunk()) return end_branch(request, branch, reason);
  close(request, reason == EndReason::end_tag ? EndReason::finished : reason);
}

/// Takes back the last n tokens, of which the newest `n_unfed` never reached the cache.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::take_back(Request& request, BranchState& branch, std::int32_t n,
                                                    std::int32_t n_unfed) {
  const std::size_t n_wanted = n > n_unfed ? static_cast<std::size_t>(n - n_unfed) : 0;
  const std::size_t n_fed = std::min(n_wanted, branch.tokens.size() - branch.n_settled);
  if (n_fed > 0) {
    branch.operations.emplace_back(Operation::Kind::rewind, static_cast<std::int32_t>(n_fed));
    branch.tokens.shorten(branch.tokens.size() - n_fed);
    if (!branch.scores.empty()) {
      branch.scores.shorten(branch.tokens.size());
      branch.likeliest.shorten(branch.scores.empty() ? 0 : branch.scores.back().likeliest_end);
    }
    if (request.keeps_seen) branch.seen.shorten(branch.seen.size() - n_fed);
  }
  request.statistics.n_forgotten += static_cast<std::int32_t>(n_fed) + n_unfed;
}

/// Feeds tokens without sampling them. False: only as many as there are positions for.
template <Markup M, Detokenizer Text, DecoderCache Cache>
bool RequestStateMachine<M, Text, Cache>::force(Request& request, BranchState& branch, const markup::Forced& forced) {
  if (forced.empty()) return true;
  for (const markup::ForcedToken& token : forced) feed(branch, token.token);
  SharedArray<TokenId>& fed = branch.operations.back().tokens;
  std::size_t n = forced.size();
  if (!budget_.fits(request, branch.index)) {
    if (!branch.is_trunk()) branch.n_closing = n_closing_tokens(branch.state);
    for (; n > 0 && !budget_.fits(request, branch.index); --n) fed.shorten(fed.size() - 1);
  }
  if (fed.empty()) branch.operations.pop_back();
  for (std::size_t i = 0; i < n; ++i) record(request, branch, forced[i], nullptr);
  return n == forced.size();
}

/// Counts and reports a token that is to be fed. `sampled` is null for a forced one.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::record(Request& request, BranchState& branch, markup::ForcedToken token,
                                                 const SampledToken* sampled) {
  branch.tokens.push_back(token.token);
  keep_log_probabilities(request, branch, sampled);
  if (request.keeps_seen) branch.seen.push_back(token.token);
  Event& event = emit(Event::Kind::token, request, branch);
  event.token = token.token;
  event.role = token.role;
  event.source = sampled != nullptr ? Source::sampled : Source::forced;
  if (sampled != nullptr) {
    event.log_probability = sampled->log_probability;
    event.top = sampled->top;
  } else {
    ++request.statistics.n_forced;
  }
  count(request, branch, token.role);
  if (token.role != markup::Role::text) return;
  std::string bytes;
  append_bytes(text_, branch, token.token, bytes);
  event.text = keep_text(branch, sampled != nullptr ? branch.stream_of_text.push(bytes, request.options->stop)
                                                    : branch.stream_of_text.push_forced(bytes));
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::keep_log_probabilities(const Request& request, BranchState& branch,
                                                                 const SampledToken* sampled) {
  if (request.options->n_log_probabilities == kNone) return;
  if (sampled != nullptr && !sampled->top.empty()) branch.likeliest.append(sampled->top);
  branch.scores.push_back({sampled != nullptr ? sampled->log_probability : std::numeric_limits<float>::quiet_NaN(),
                           branch.likeliest.size()});
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::count(Request& request, const BranchState& branch,
                                                markup::Role role) const noexcept {
  Statistics& s = request.statistics;
  switch (role) {
    case markup::Role::tag: ++s.n_tag; break;
    case markup::Role::title: ++s.n_title; break;
    case markup::Role::text: ++(branch.is_trunk() ? s.n_serial : s.n_branch); break;
  }
}

/// The branch samples its next token in the coming pass, unless something is used up.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::continue_branch(Request& request, BranchState& branch) {
  if (!ensure_row(request, branch)) return close(request, EndReason::malformed);
  const EndReason denied = allow_token(request, branch);
  if (denied != EndReason::none) close_branch(request, branch, denied);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::propose_tags(const BranchState& branch, DraftChain& chain,
                                                       std::int32_t n_most) const {
  if constexpr (MarkupWithDraft<M>) {
    constexpr std::int32_t kMostTags = 4;
    State state = branch.state;
    while (std::ssize(chain.tokens) < std::min(n_most, kMostTags)) {
      const TokenId token = markup_.draft(state);
      if (token == kUnknownToken) return;
      chain.tokens.push_back(token);
      const Action action = markup_.next(state, token);
      if (action.role != markup::Role::tag || !only_samples(action)) return;
    }
  }
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::check_drafts(const Request& request, BranchState& branch,
                                                       std::int32_t n) const {
  branch.drafts.clear();
  while (std::ssize(branch.drafts) < n) {
    const TokenId token = branch.chain.tokens[branch.drafts.size()];
    State state = branch.drafts.empty() ? branch.state : branch.drafts.back();
    if (token < 0 || is_end_of_text(token) || is_stop_token(request, token)) return;
    if constexpr (MarkupWithConstraint<M>) {
      const markup::Constraint constraint = markup_.constrain(state);
      if (!constraint.allowed.empty() && !has(constraint.allowed, token)) return;
      if (has(constraint.forbidden, token)) return;
    }
    if (!only_samples(markup_.next(state, token))) return;
    branch.drafts.push_back(std::move(state));
  }
}

/// Makes the branch's last token a row of the coming pass. When tokens were taken back and none was forced, the last
/// one that is left is fed again. False: the branch has no token of its own.
template <Markup M, Detokenizer Text, DecoderCache Cache>
bool RequestStateMachine<M, Text, Cache>::ensure_row(const Request& request, BranchState& branch) const {
  if (!branch.operations.empty() && branch.operations.back().kind == Operation::Kind::feed) return true;
  const bool has_own = branch.tokens.size() > branch.n_settled;
  const bool has_prompt = branch.is_trunk() && branch.n_blocks == 0 && branch.n_settled == 0;
  if (!has_own && !has_prompt) return false;
  if (branch.operations.empty() || branch.operations.back().kind != Operation::Kind::rewind)
    branch.operations.emplace_back(Operation::Kind::rewind);
  ++branch.operations.back().count;
  feed(branch, has_own ? branch.tokens.back() : request.last_prompt_token);
  return true;
}

/// Allows the branch to sample one token in the coming pass; or says why not.
template <Markup M, Detokenizer Text, DecoderCache Cache>
EndReason RequestStateMachine<M, Text, Cache>::allow_token(Request& request, BranchState& branch) const {
  if (!branch.is_trunk() && branch.n_sampled >= request.options->max_branch_tokens) return EndReason::limit;
  if (request.statistics.n_sampled + request.n_allowed >= request.options->max_tokens) return EndReason::limit;
  branch.n_allowed = 1;
  if (!budget_.fits(request, branch.index)) {
    branch.n_allowed = 0;
    return EndReason::range;
  }
  ++request.n_allowed;
  return EndReason::none;
}

/// Ends a branch that would have gone on.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::close_branch(Request& request, BranchState& branch, EndReason reason) {
  if (branch.is_trunk()) return close(request, reason);
  branch.n_closing = 0;
  force(request, branch, markup_.closing(branch.state));
  end_branch(request, branch, reason);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
markup::Action RequestStateMachine<M, Text, Cache>::end_of_text(BranchState& branch) const {
  if constexpr (MarkupWithEndOfText<M>) {
    return markup_.end_of_text(branch.state);
  } else {
    Action action = branch.is_trunk() ? Action::finish() : Action::end_branch();
    action.forget = 1;
    if (!branch.is_trunk()) action.forced = markup_.closing(branch.state);
    return action;
  }
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
bool RequestStateMachine<M, Text, Cache>::is_end_of_text(TokenId token) const {
  return std::find(options_.end_of_text.begin(), options_.end_of_text.end(), token) != options_.end_of_text.end();
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
bool RequestStateMachine<M, Text, Cache>::is_stop_token(const Request& request, TokenId token) {
  const std::vector<TokenId>& stops = request.options->stop_tokens;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

/// Ends the request without the token that was sampled.
template <Markup M, Detokenizer Text, DecoderCache Cache>
void RequestStateMachine<M, Text, Cache>::stop_at_token(Request& request, BranchState& branch) {
  take_back(request, branch, 1, 1);
  close(request, EndReason::stop);
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
std::int32_t RequestStateMachine<M, Text, Cache>::n_closing_tokens(const State& s) const {
  return static_cast<std::int32_t>(markup::Forced(markup_.closing(s)).size());
}

template <Markup M, Detokenizer Text, DecoderCache Cache>
Event& RequestStateMachine<M, Text, Cache>::emit(Event::Kind kind, const Request& request, const BranchState& branch) {
  Event& event = events_.emplace_back();
  event.kind = kind;
  event.request = request.id;
  event.user_data = request.options->user_data;
  event.branch = branch.index;
  event.pass = request.statistics.n_passes;
  return event;
}

}  // namespace anabranch::impl

#include <anabranch/decode/impl/request_state_machine_blocks.hpp>
