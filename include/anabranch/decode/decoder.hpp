// The decoder: feeds tokens through a markup, forks, joins, samples. It never calls a model; its owner does:
//
//   Decoder decoder{cache, markup, detokenize, {.max_branches = 8}};
//   decoder.submit(prompt, {.temperature = 0.7f, .seed = 1});
//   while (decoder.has_work()) {
//     auto plan = decoder.plan();                          // all requests, all branches, one pass
//     if (!plan) { make_room(plan.shortage()); continue; }
//     for (const Event& event : decoder.commit(my_model(*plan))) show(event);   // model failed: decoder.abort()
//   }
//
// A transition costs no pass of its own: a fork's tag and all its branches' prefixes are rows of one pass, and so are
// the last branch's end and what its parent is forced to say after the join. Where nothing is left to sample there is
// no pass: the last token stays with the request and is fed first if another goes on with its history.
//
// So a request takes: prefill chunks + tokens sampled on the trunk - 1 + for every block the largest over its branches
// of the tokens sampled in it, its end included and its own blocks recursively. That is with a place for every branch.
// With fewer places (max_branches, max_parallel_branches) the others wait, without rows or pages, and open in reading
// order, a branch's own blocks before its siblings, in the pass that holds the end of the one that gave its place. With
// one place the largest becomes the sum: prefill chunks + sampled tokens - 1. Branches without a prefix are the
// exception: their first tokens are all sampled in the fork's pass. And with DecoderOptions::draft tokens of the trunk
// that the markup drafted cost no pass of their own.
//
// How many branches are decoded at once changes passes, the order of events and the numbers of nested branches. It does
// not change a token, a position, or the history: every branch forks where its block forks and sees what it would see.
// Only what branches share runs out elsewhere: a request's max_tokens (one token is kept for every branch that waits),
// the positions of the model, pages, sequences; and a stop string ends the request with what was written by then.
//
// A call that throws has changed nothing, whatever threw: the markup, the text, the sampler, a hook, or memory that ran
// out. In particular a commit that fails leaves the plan open: commit again, cancel a request and commit, or abort.
//
// A sequence's tokens depend on its own logits, the request's options and its branch path alone, never on the batch.
// One thread at a time. The decoder opens a step of the cache in `plan` and ends it in `commit` or `abort`; in between
// the cache cannot be changed by others. The cache must outlive the decoder, which drops its sequences when it goes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <anabranch/cache/kv_cache.hpp>
#include <anabranch/decode/events.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/decode/request.hpp>
#include <anabranch/decode/sampler.hpp>
#include <anabranch/markup/markup.hpp>

#include <anabranch/decode/impl/engine.hpp>

namespace anabranch {

/// A pass to run; or, when false, the pages that are short (none short: nothing is left to do).
class DecoderPlan {
 public:
  DecoderPlan(const StepPlan& plan, std::span<const OutputSettings> outputs) : plan_(&plan), outputs_(outputs) {}
  explicit DecoderPlan(Shortage shortage) : shortage_(shortage) {}
  explicit operator bool() const noexcept { return plan_ != nullptr; }
  /// REQUIRES: there is a plan.
  const StepPlan& operator*() const noexcept { return *plan_; }
  const StepPlan* operator->() const noexcept { return plan_; }
  Shortage shortage() const noexcept { return shortage_; }
  /// [n_outputs], for hosts that sample themselves; borrowed until commit or abort.
  std::span<const OutputSettings> outputs() const noexcept { return outputs_; }

 private:
  const StepPlan* plan_ = nullptr;
  std::span<const OutputSettings> outputs_;
  Shortage shortage_;
};

/// What is known of one sequence of a request, running or over.
struct BranchReport {
  std::vector<PathStep> path;  ///< empty: the trunk
  std::string title;
  std::string text;  ///< in reading order, the blocks inside it included
  EndReason reason = EndReason::none;
  SequenceId sequence;  ///< in the cache, while it is there
};

template <class Cache, Markup M, Detokenizer Text, SamplerLike S = Sampler>
class Decoder {
 public:
  /// Throws bad_request when an option makes no sense.
  Decoder(Cache& cache, M markup, Text text, DecoderOptions options = {}, S sampler = {})
      : engine_(cache, std::move(markup), std::move(text), std::move(options), std::move(sampler)) {}
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// A new request; it takes part from the next plan on. With `after`, `prompt` follows the history of a finished
  /// request, which gives it up (its text and statistics stay); an end-of-text token that ended that answer is not in
  /// it. An empty prompt lets the answer go on. Throws bad_request, stale_request.
  RequestId submit(std::span<const TokenId> prompt, const RequestOptions& options = {}) {
    return engine_.submit(prompt, options);
  }
  RequestId submit(std::initializer_list<TokenId> prompt, const RequestOptions& options = {}) {
    return submit(std::span<const TokenId>(prompt.begin(), prompt.size()), options);
  }
  bool has_work() const noexcept { return engine_.has_work(); }

  /// The next pass of all requests. A request that can never fit, however much room others make, ends with reason
  /// no_room. After a shortage no step is open: release or cancel something and plan again. Throws wrong_state when a
  /// plan is open, what the cache throws (limit_reached), and what the markup throws; no step is open then.
  DecoderPlan plan() {
    Shortage shortage;
    const StepPlan* plan = engine_.plan(shortage);
    return plan != nullptr ? DecoderPlan(*plan, engine_.outputs()) : DecoderPlan(shortage);
  }
  /// Samples, makes the pass final, and says what happened; the events are valid until the next commit that succeeds.
  /// Throws bad_logits, and what hook, sampler, markup and text throw; the plan is still open then and nothing has
  /// changed. O(outputs * vocabulary), and a copy of what the sequences of the pass have recorded.
  std::span<const Event> commit(const LogitsView& logits) { return engine_.commit(logits); }
  /// The same with tokens that the host sampled: one per output. Throws bad_argument as above.
  std::span<const Event> commit_sampled(std::span<const TokenId> tokens) { return engine_.commit_sampled(tokens); }
  /// Gives the pass up, also after the model ran; the next plan repeats it. Fine without a plan.
  void abort() noexcept { engine_.abort(); }
  /// Events that no commit has handed out yet (cancelled, no room, or ended before any pass).
  std::vector<Event> take_events() { return engine_.take_events(); }

  /// Ends a request at any moment, also between plan and commit, never with a call of the markup. Its pages become
  /// free, its text stays. Throws stale_request.
  void cancel(RequestId id) { engine_.cancel(id); }
  /// Forgets a request and its history; cancels it first when it runs. The id goes stale. Throws stale_request.
  void release(RequestId id) { engine_.release(id); }

  /// The answer as far as it is there, in reading order.
  std::string text(RequestId id) const { return engine_.branch(id, kTrunk).text; }
  /// `none` while it runs.
  EndReason reason(RequestId id) const { return engine_.find(id).reason; }
  const Statistics& statistics(RequestId id) const { return engine_.find(id).statistics; }
  std::int32_t n_branches(RequestId id) const {
    return static_cast<std::int32_t>(engine_.find(id).branches.size()) - 1;
  }
  /// Throws bad_argument for a branch that is not there.
  BranchReport branch(RequestId id, BranchIndex branch) const {
    auto found = engine_.branch(id, branch);
    return {std::move(found.path), std::move(found.title), std::move(found.text), found.reason, found.sequence};
  }
  const DecoderOptions& options() const noexcept { return engine_.options(); }
  /// What the model's passes cost, as the options said; null where they did not.
  const RowCosts* row_costs() const noexcept { return engine_.options().row_costs.get(); }

 private:
  impl::Engine<Cache, M, Text, S> engine_;
};

}  // namespace anabranch
