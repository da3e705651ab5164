// RequestStateMachine: what a sampled token means for its request. Takes decisions; never touches the cache. A call
// that throws leaves the request and the events half changed: its caller hands in copies (request_transaction.hpp).
// Tracks given to be changed come from Request::edit.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/decode/impl/reserve.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch::impl {

/// A sampled token with what was asked to be reported about it.
struct SampledToken {
  TokenId token = kUnknownToken;
  float log_probability = std::numeric_limits<float>::quiet_NaN();
  std::vector<TokenLogProbability> top;
};

template <class Cache, Markup M, Detokenizer Text>
class RequestStateMachine {
 public:
  using State = typename M::State;
  using RequestT = Request<State>;
  using BranchT = BranchState<State>;
  using Action = markup::Action;

  /// `n_sequences_due` says how many sequences of the cache are spoken for already.
  RequestStateMachine(const Cache& cache, M markup, Text text, DecoderOptions options,
                      std::function<std::int32_t()> n_sequences_due)
      : cache_(&cache),
        markup_(std::move(markup)),
        text_(std::move(text)),
        options_(std::move(options)),
        n_sequences_due_(std::move(n_sequences_due)),
        reserve_(cache, options_.positions) {}
  RequestStateMachine(const RequestStateMachine&) = delete;
  RequestStateMachine& operator=(const RequestStateMachine&) = delete;

  const M& markup() const noexcept { return markup_; }
  const DecoderOptions& options() const noexcept { return options_; }
  const Reserve<Cache, State>& reserve() const noexcept { return reserve_; }
  std::vector<Event>& events() noexcept { return events_; }

  /// The prompt is in the trunk's operations: what the markup forces after it, and leave to sample.
  void open(RequestT& r);
  /// The trunk goes on where an earlier request left it.
  void resume_trunk(RequestT& r) { go_on(r, r.edit(kTrunk)); }
  /// A branch's token was sampled in the pass that is being committed; and behind each of the branch's drafts that the
  /// pass held, the token that follows if all drafts up to there were right. Drafts that were not have been left out.
  void accept(RequestT& r, BranchT& t, std::span<const SampledToken> sampled);
  /// Says which branches take part in the next pass. To be called when all sequences have taken their tokens.
  void place(RequestT& r);
  /// Ends a request: open branches are closed as the markup wants, joined, and reported.
  void close(RequestT& r, EndReason reason);
  /// Ends a request whose history is not wanted any more. Never calls the markup.
  void abandon(RequestT& r, EndReason reason);

 private:
  // request_state_machine.hpp: single lines
  void accept(RequestT& r, BranchT& t, const SampledToken& sampled);
  void apply(RequestT& r, BranchT& t, Action action, const SampledToken* sampled, EndReason reason);
  void take_back(RequestT& r, BranchT& t, std::int32_t n, std::int32_t n_unfed);
  bool force(RequestT& r, BranchT& t, const markup::Forced& forced);
  void record(RequestT& r, BranchT& t, markup::ForcedToken token, const SampledToken* sampled);
  void go_on(RequestT& r, BranchT& t);
  bool make_row(RequestT& r, BranchT& t);
  EndReason grant(RequestT& r, BranchT& t);
  void draft(const RequestT& r, BranchT& t);
  void close_sequence(RequestT& r, BranchT& t, EndReason reason);
  Action end_of_text(BranchT& t) const;
  bool is_end_of_text(TokenId token) const;
  Event& emit(Event::Kind kind, const RequestT& r, const BranchT& t);
  // request_state_machine_blocks.hpp: blocks
  void fork(RequestT& r, BranchT& t, std::vector<markup::Seed> seeds);
  EndReason add_block(RequestT& r, BranchT& t, const std::vector<markup::Seed>& seeds);
  void add_child(RequestT& r, BranchT& parent, std::int32_t k);
  void start_child(RequestT& r, BranchT& t, const markup::Forced& prefix);
  void refuse(RequestT& r, BranchT& t, EndReason reason);
  void end_branch(RequestT& r, BranchT& t, EndReason reason);
  void report_branch_end(RequestT& r, BranchT& t, EndReason reason);
  void join(RequestT& r, BranchT& t);
  void resume(RequestT& r, BranchT& t);
  void close_tree(RequestT& r, BranchT& t, EndReason reason);
  void finish(RequestT& r, EndReason reason);

  const Cache* cache_;
  M markup_;
  Text text_;
  DecoderOptions options_;
  std::function<std::int32_t()> n_sequences_due_;
  Reserve<Cache, State> reserve_;
  std::vector<Event> events_;  // not handed out yet
};

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::open(RequestT& r) {
  BranchT& trunk = r.edit(kTrunk);
  if constexpr (MarkupWithOpening<M>)
    apply(r, trunk, markup_.open(trunk.state), nullptr, EndReason::finished);
  else
    go_on(r, trunk);
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::accept(RequestT& r, BranchT& t, std::span<const SampledToken> sampled) {
  const std::vector<Draft<State>> drafts = std::exchange(t.drafts, {});
  std::size_t k = 0;
  for (; k + 1 < sampled.size() && sampled[k].token == drafts[k].token; ++k) {
    ++t.n_sampled;  // it has been fed, and leave to sample is for the token after it
    ++r.statistics.n_sampled;
    const Action action = markup_.next(t.state, sampled[k].token);
    record(r, t, {sampled[k].token, action.role}, &sampled[k]);
  }
  accept(r, t, sampled[k]);
}

template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::accept(RequestT& r, BranchT& t, const SampledToken& sampled) {
  r.n_granted -= t.n_granted;
  t.n_granted = 0;
  ++t.n_sampled;
  ++r.statistics.n_sampled;
  if (is_end_of_text(sampled.token))
    apply(r, t, end_of_text(t), &sampled, EndReason::end_of_text);
  else
    apply(r, t, markup_.next(t.state, sampled.token), &sampled, EndReason::end_tag);
}

/// Does what the markup wants, as far as tokens, positions and depth allow.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::apply(RequestT& r, BranchT& t, Action action, const SampledToken* sampled,
                                                EndReason reason) {
  using Next = Action::Next;
  if (action.forget > 0) {
    take_back(r, t, action.forget, sampled != nullptr ? 1 : 0);
  } else if (sampled != nullptr) {
    feed(t, sampled->token);
    record(r, t, {sampled->token, action.role}, sampled);
    if (t.text.stopped()) return close(r, EndReason::stop);
  }
  const bool ends = action.next == Next::end_branch || action.next == Next::finish;
  if (ends) t.n_closing = 0;  // what was kept free is for these tokens
  if (!force(r, t, action.forced)) return close_sequence(r, t, EndReason::range);
  if (action.next == Next::sample) return go_on(r, t);
  if (action.next == Next::fork) return fork(r, t, std::move(action.seeds));
  if (action.next == Next::end_branch && t.parent != kNone) return end_branch(r, t, reason);
  close(r, reason == EndReason::end_tag ? EndReason::finished : reason);
}

/// Takes back the last n tokens, of which the newest `n_unfed` never reached the cache.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::take_back(RequestT& r, BranchT& t, std::int32_t n, std::int32_t n_unfed) {
  const auto n_fed = std::min(n - n_unfed, static_cast<std::int32_t>(t.seen.size() - t.n_settled));
  if (n_fed > 0) {
    t.operations.push_back({Operation::Kind::rewind, {}, n_fed});
    t.seen.shorten(t.seen.size() - static_cast<std::size_t>(n_fed));
  }
  r.statistics.n_forgotten += std::max(n_fed, 0) + n_unfed;
}

/// Feeds tokens without sampling them. False: only as many as there are positions for.
template <class Cache, Markup M, Detokenizer Text>
bool RequestStateMachine<Cache, M, Text>::force(RequestT& r, BranchT& t, const markup::Forced& forced) {
  if (forced.empty()) return true;
  for (const markup::ForcedToken& token : forced) feed(t, token.token);
  std::vector<TokenId>& fed = t.operations.back().tokens;
  std::size_t n = forced.size();
  if (!reserve_.fits(r, t.index)) {
    if (t.parent != kNone) t.n_closing = static_cast<std::int32_t>(markup::Forced(markup_.closing(t.state)).size());
    for (; n > 0 && !reserve_.fits(r, t.index); --n) fed.pop_back();
  }
  if (fed.empty()) t.operations.pop_back();
  for (std::size_t i = 0; i < n; ++i) record(r, t, forced[i], nullptr);
  return n == forced.size();
}

/// Counts and reports a token that is to be fed. `sampled`: it was sampled.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::record(RequestT& r, BranchT& t, markup::ForcedToken token,
                                                 const SampledToken* sampled) {
  t.seen.push_back(token.token);
  Event& event = emit(Event::Kind::token, r, t);
  event.token = token.token;
  event.role = token.role;
  event.source = sampled != nullptr ? Source::sampled : Source::forced;
  if (sampled != nullptr) {
    event.log_probability = sampled->log_probability;
    event.top = sampled->top;
  } else {
    ++r.statistics.n_forced;
  }
  if (token.role == markup::Role::tag) ++r.statistics.n_tag;
  if (token.role == markup::Role::title) ++r.statistics.n_title;
  if (token.role != markup::Role::text) return;
  ++(t.parent == kNone ? r.statistics.n_serial : r.statistics.n_branch);
  std::string bytes;
  text_(std::span<const TokenId>(&token.token, 1), bytes);
  event.text = keep_text(t, sampled != nullptr ? t.text.push(bytes, r.options->stop) : t.text.push_forced(bytes));
}

/// The sequence samples its next token in the coming pass, unless something is used up.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::go_on(RequestT& r, BranchT& t) {
  if (!make_row(r, t)) return close(r, EndReason::malformed);
  const EndReason denied = grant(r, t);
  if (denied != EndReason::none) return close_sequence(r, t, denied);
  draft(r, t);
}

/// Says what the coming pass may hold beside the trunk's last token, so that passes after it are not needed. Only tags,
/// where nothing but sampling would come between.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::draft(const RequestT& r, BranchT& t) {
  if constexpr (MarkupWithDraft<M>) {
    if (!options_.draft || t.parent != kNone || r.options->max_parallel_branches == 1) return;
    constexpr std::size_t kMost = 4;  // of the longest chain that a markup may think of
    const std::int32_t granted = t.n_granted;
    t.drafts.clear();
    while (t.drafts.size() < kMost &&
           r.statistics.n_sampled + r.n_granted + (t.n_granted - granted) < r.options->max_tokens) {
      const State& s = t.drafts.empty() ? t.state : t.drafts.back().after;
      const TokenId token = markup_.draft(s);
      if (token == kUnknownToken || is_end_of_text(token)) break;
      Draft<State> draft{token, s};
      const Action action = markup_.next(draft.after, token);
      if (action.role != markup::Role::tag || action.next != Action::Next::sample || action.forget > 0 ||
          !action.forced.empty())
        break;
      ++t.n_granted;
      if (!reserve_.fits(r, t.index)) break;
      t.drafts.push_back(std::move(draft));
    }
    t.n_granted = granted;
  }
}

/// The sequence's last token must be a row of the coming pass. When tokens were taken back and none was forced, the
/// last one that is left is fed again. False: there is none of its own.
template <class Cache, Markup M, Detokenizer Text>
bool RequestStateMachine<Cache, M, Text>::make_row(RequestT& r, BranchT& t) {
  if (!t.operations.empty() && t.operations.back().kind == Operation::Kind::feed) return true;
  const bool own = t.seen.size() > t.n_settled;
  const bool prompt = t.parent == kNone && t.n_blocks == 0 && t.n_settled == 0;
  if (!own && !prompt) return false;
  if (t.operations.empty() || t.operations.back().kind != Operation::Kind::rewind)
    t.operations.push_back({Operation::Kind::rewind, {}, 0});
  ++t.operations.back().count;
  feed(t, own ? t.seen.back() : r.last_prompt_token);
  return true;
}

/// Lets the sequence sample one token in the coming pass; or why not.
template <class Cache, Markup M, Detokenizer Text>
EndReason RequestStateMachine<Cache, M, Text>::grant(RequestT& r, BranchT& t) {
  if (t.parent != kNone && t.n_sampled >= r.options->max_branch_tokens) return EndReason::limit;
  if (r.statistics.n_sampled + r.n_granted >= r.options->max_tokens) return EndReason::limit;
  t.n_granted = 1;
  if (!reserve_.fits(r, t.index)) {
    t.n_granted = 0;
    return EndReason::range;
  }
  ++r.n_granted;
  return EndReason::none;
}

/// Ends a sequence that would have gone on.
template <class Cache, Markup M, Detokenizer Text>
void RequestStateMachine<Cache, M, Text>::close_sequence(RequestT& r, BranchT& t, EndReason reason) {
  if (t.parent == kNone) return close(r, reason);
  t.n_closing = 0;
  force(r, t, markup_.closing(t.state));
  end_branch(r, t, reason);
}

template <class Cache, Markup M, Detokenizer Text>
markup::Action RequestStateMachine<Cache, M, Text>::end_of_text(BranchT& t) const {
  if constexpr (MarkupWithEndOfText<M>) {
    return markup_.end_of_text(t.state);
  } else {
    Action action = t.parent == kNone ? Action::finish() : Action::end_branch();
    action.forget = 1;
    if (t.parent != kNone) action.forced = markup_.closing(t.state);
    return action;
  }
}

template <class Cache, Markup M, Detokenizer Text>
bool RequestStateMachine<Cache, M, Text>::is_end_of_text(TokenId token) const {
  for (const TokenId end : options_.end_of_text)
    if (end == token) return true;
  return false;
}

template <class Cache, Markup M, Detokenizer Text>
Event& RequestStateMachine<Cache, M, Text>::emit(Event::Kind kind, const RequestT& r, const BranchT& t) {
  Event& event = events_.emplace_back();
  event.kind = kind;
  event.request = r.id;
  event.branch = t.index;
  return event;
}

}  // namespace anabranch::impl

#include <anabranch/decode/impl/request_state_machine_blocks.hpp>
