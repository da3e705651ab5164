// Decoder: feeds tokens through a markup, forks, joins and samples. It never calls a model; its owner does:
//
//   Decoder decoder{cache, markup, detokenize, {.max_branches = 8}};
//   decoder.submit(prompt, {.sampling = {.temperature = 0.7f, .seed = 1}});
//   while (decoder.has_work()) {
//     auto plan = decoder.plan();                          // all requests, all branches, one pass
//     if (!plan) { make_room(plan.shortage()); continue; }
//     for (const Event& event : decoder.commit(my_model(*plan))) show(event);   // model failed: decoder.abort()
//   }
//
// docs/decoding.md has the number of passes, the order in which branches are admitted, and what branches share.
// A call that throws has changed nothing, whatever threw. After a failed commit the plan is still open: commit again,
// cancel a request and commit, or abort. A branch's tokens depend on its logits, options and path, never on the batch.
// The cache must outlive the decoder, which drops its sequences when it goes; while another's step is open they stay.
// From `plan` to `commit` or `abort` a step of the cache is open, and others cannot change the cache. One thread at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <anabranch/cache/prefix_source.hpp>
#include <anabranch/cache/structured_prompt.hpp>
#include <anabranch/decode/branch.hpp>
#include <anabranch/decode/decoder_cache.hpp>
#include <anabranch/decode/decoder_plan.hpp>
#include <anabranch/decode/events.hpp>
#include <anabranch/decode/impl/branch_state.hpp>
#include <anabranch/decode/impl/named_concepts.hpp>
#include <anabranch/decode/impl/request_state_machine.hpp>
#include <anabranch/decode/impl/request_transaction.hpp>
#include <anabranch/decode/impl/step_builder.hpp>
#include <anabranch/decode/model.hpp>
#include <anabranch/decode/request.hpp>
#include <anabranch/decode/sampler.hpp>
#include <anabranch/markup/impl/optional_functions.hpp>
#include <anabranch/markup/markup.hpp>

namespace anabranch {

/// M      the grammar of the tags. Write one for a checkpoint that was trained on other tags (examples/custom_markup)
/// Text   turns tokens into text. Any tokenizer can (examples/custom_markup; hf::Tokenizer is one)
/// S      picks tokens from logits. Write one for another distribution than Sampler's
///        (examples/custom_markup/min_p.hpp)
/// Cache  a cache with a payload, or with a constant page size, for programs that need one (examples/custom_cache)
template <Markup M, Detokenizer Text, SamplerLike S = Sampler, DecoderCache Cache = KvCache>
class Decoder {
  static_assert(impl::check_optional_functions<M>());

 public:
  /// Throws bad_request when an option makes no sense.
  Decoder(Cache& cache, M markup, Text text, DecoderOptions options = {}, S sampler = {});
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// A new request; it takes part from the next plan on. With `options.after`, `prompt` follows the history of a
  /// finished request, which loses it (its text and statistics stay); an end-of-text token that ended that answer is
  /// not in it. An empty prompt continues an answer that was cut (by a limit, a stop string, a range), but not one that
  /// ended with an end-of-text token. Throws bad_request, stale_request, stale_sequence (the prefix), and limit_reached
  /// when the cache has no sequence left for it that is neither alive nor due to requests before it.
  RequestId submit(std::span<const TokenId> prompt, const RequestOptions& options = {});
  RequestId submit(std::initializer_list<TokenId> prompt, const RequestOptions& options = {}) {
    return submit(std::span<const TokenId>(prompt.begin(), prompt.size()), options);
  }
  /// The same for a prompt with blocks, such as `history` gives; behind the last block it has 1 token or more. What no
  /// prefix cache has of its blocks is computed in the request's first pass, whatever max_rows says; with `preemptible`
  /// what follows them begins in the pass after. Throws bad_request for `after` and `prefix` too.
  RequestId submit(const StructuredPrompt& prompt, const RequestOptions& options = {});
  /// From now on new requests begin with what this cache has of their prompts, wait for another one that computes the
  /// same, and leave their histories to it when they are released; a shortage evicts from it before it is reported. It
  /// must be a cache over this decoder's K/V cache. It must outlive the decoder, or be replaced by another or by null:
  /// the requests that there are then share nothing more, and their histories are not kept.
  void use(PrefixSource* prefixes);
  /// From now on passes hold tokens that the source thinks likely, as drafts beside the markup's: extra rows, which the
  /// commit rejects where the model sampled another token. Saves passes and changes no text and no log-probability,
  /// provided that a row's logits do not depend on its neighbours (int8 weights: bit for bit). Requests that were there
  /// before show it their prompts only. It must outlive the decoder, or be replaced by another or by null.
  void draft_with(DraftSource* source) noexcept { draft_source_ = source; }
  /// Tells the source what the last pass that was committed took, from plan to commit.
  void learn(double seconds) noexcept {
    if (draft_source_ != nullptr) draft_source_->learn({pass_.n_rows, pass_.n_keys, seconds});
  }
  /// The request's prompt and all that it has written so far, with its blocks: the beginning of the prompt that goes on
  /// from it. An end-of-text token is not in it. Throws stale_request, bad_request for one that began with a `prefix`,
  /// wrong_state while it has a block that is not joined.
  StructuredPrompt history(RequestId id) const;
  bool has_work() const noexcept;

  /// The next pass of all requests. A request that can never fit, even alone, ends with reason no_room; one whose
  /// sequences others have dropped, as lost. After a shortage no step is open: release or cancel something and plan
  /// again. Throws wrong_state when a plan is open, limit_reached when others took the sequences that a request needs,
  /// and what the markup throws; no step is open then. Like cancel and release it first drops the sequences of requests
  /// that are over, in a step of its own, which stays done when the call then throws.
  [[nodiscard]] DecoderPlan plan();
  /// The next pass of some requests: those that are named, each with as many rows as it may have, but where a pass has
  /// to hold the rows of a branch as a whole (a join and what follows it). The others wait, and are not asked whether
  /// they fit. What a request would do in one pass alone may take several so; its samples count once all of them are
  /// there, so neither shares nor neighbours change a text. Throws bad_argument, stale_request, and as `plan`.
  [[nodiscard]] DecoderPlan plan(std::span<const RequestShare> shares);
  /// The rows and branches that a request needs of the coming passes. O(its branches in the cache). Throws
  /// stale_request.
  RequestDemand demand(RequestId id) const;
  /// The rows that each request has in the open plan, or had in the last one; borrowed until the next.
  std::span<const RequestShare> rows() const noexcept { return rows_; }
  /// Pages that hold the tokens of a request, or are kept free for it. O(those). Throws stale_request.
  std::int32_t n_pages(RequestId id) const { return n_pages_used(find(id)); }
  /// Samples, makes the pass final, and reports it; the events are valid until the next commit that succeeds. Throws
  /// bad_logits, and what hook, sampler, markup and text throw; the plan is still open then and nothing has changed.
  /// O(outputs * vocabulary), a copy of the records of the branches in the pass, a look at each branch that is not yet
  /// joined, queued ones too, and a counted pointer per 32 branches that its requests ever had.
  std::span<const Event> commit(const LogitsView& logits);
  /// The same with tokens that the host sampled: one per output. Throws bad_argument as above.
  std::span<const Event> commit_sampled(std::span<const TokenId> tokens);
  /// Abandons the pass, also after the model ran; the next plan repeats it. Fine without a plan.
  void abort() noexcept;
  /// Events that no commit has returned yet (cancelled, no room, or ended before any pass).
  std::vector<Event> take_events();

  /// Ends a request at any moment, also between plan and commit, without calling the markup. Its pages become free,
  /// its text stays. Throws stale_request.
  void cancel(RequestId id);
  /// Ends a request as a limit would, between two passes: the markup closes open branches, they are joined, the text
  /// stays, and so does the history, which another request can go on with. Reason `cancelled`. Nothing happens to one
  /// that is over. Throws stale_request, wrong_state while a plan is open, and what the markup throws.
  void finish(RequestId id);
  /// Takes a request's pages away, between two passes. It goes on as if nothing had happened: its next passes compute
  /// again what the cache has lost, as whole runs of rows, and its tokens stay the same; with int8 weights its logits
  /// too, bit for bit. One that is over and has its history keeps that likewise, until another goes on with it. Of a
  /// request with a prefix the prefix stays in the cache (bits are the same while the prefix's owner keeps it, too).
  /// Throws stale_request, and wrong_state while a plan is open or without DecoderOptions::preemptible. O(its tokens).
  void preempt(RequestId id);
  /// Forgets a request and its history; cancels it first when it runs. The id goes stale. Throws stale_request.
  void release(RequestId id);

  /// The answer so far, in reading order.
  std::string text(RequestId id) const { return branch(id, kTrunk).text; }
  /// False: it was released, or never submitted here.
  bool knows(RequestId id) const noexcept;
  /// `none` while it runs.
  EndReason reason(RequestId id) const { return find(id).reason; }
  const Statistics& statistics(RequestId id) const { return find(id).statistics; }
  /// RequestOptions::user_data.
  std::uint64_t user_data(RequestId id) const { return find(id).options->user_data; }
  /// The answer's tokens so far, in reading order: sampled and forced, tags and titles included.
  std::vector<TokenId> tokens(RequestId id) const { return branch(id, kTrunk).tokens; }
  std::int32_t n_branches(RequestId id) const { return find(id).n_branches() - 1; }
  /// The trunk, kTrunk, is one too. Throws bad_argument for a branch that is not there.
  Branch branch(RequestId id, BranchIndex branch) const;
  const DecoderOptions& options() const noexcept { return machine_.options(); }
  const Cache& cache() const noexcept { return *cache_; }
  /// Costs of the model's passes, as the options gave them; null where they did not.
  const RowCosts* row_costs() const noexcept { return options().row_costs.get(); }

 private:
  using State = typename M::State;
  using Step = typename Cache::Step;
  using Request = impl::RequestState<State>;
  using BranchState = impl::BranchState<State>;
  using Transaction = impl::RequestTransaction<State>;
  using SampledToken = impl::SampledToken;
  static constexpr std::int32_t kMostDrafts = 8;    // of a branch in a pass
  static constexpr std::int32_t kMostDrafting = 4;  // branches of a request: more fill the pass themselves
  static constexpr std::size_t kNoRequestIndex = std::numeric_limits<std::size_t>::max();
  /// A history that is left to the prefix cache as soon as no plan is open.
  struct Released {
    SequenceId sequence;
    StructuredPrompt history;
    impl::PrefixUse prefix_use;
  };
  /// The branch that an output of the open plan belongs to.
  struct OutputOwner {
    std::size_t request = 0;  ///< in requests_, where it stays while the plan is open
    BranchIndex branch = kTrunk;
    std::size_t n_drafts = 0;  ///< the output's row follows so many drafts of the branch
  };

  // impl/decoder_requests.hpp: the table of requests, and how they come and go
  std::size_t place_of(RequestId id) const noexcept;
  std::size_t index_of(RequestId id) const;
  const Request& find(RequestId id) const { return *requests_[index_of(id)]; }
  Transaction begin_transaction() noexcept {
    return {requests_, machine_.events(), machine_.sequences_due(), retired_};
  }
  void check(std::span<const TokenId> prompt, const RequestOptions& options) const;
  std::unique_ptr<Request> new_request(const RequestOptions& options, const Request* before) const;
  void continue_history(Request& request, const Request& before) const;
  Request* history_of(RequestId after);
  void count_sequences_due(Request& request);
  void end_by_caller(std::size_t index);
  void sweep();
  void forget_released() noexcept;
  void try_sweep() noexcept;
  bool has_lost_sequence(const Request& request) const;
  void drop_abandoned();
  // impl/decoder_prefixes.hpp: what requests share through a prefix cache
  RequestId submit(std::span<const TokenId> prompt, const RequestOptions& options, const StructuredPrompt* structured);
  void note_prompt(Request& request, const Request* before, std::span<const TokenId> prompt,
                   const StructuredPrompt* structured) const;
  StructuredPrompt history_of(const Request& request) const;
  std::int32_t n_history_in_cache(const Request& request) const;
  void free_sequences(std::int32_t n_due);
  void look_up_prefixes();
  void share_prompts();
  bool share_prompt(Request& request);
  void look_up(Request& request);
  void take_prefix(Request& request, std::int32_t n_most);
  static bool waits_for_prefix(const Request& request) noexcept {
    return request.prefix_use.phase == impl::PrefixUse::Phase::waiting;
  }
  void give_prefix_back(Request& request);
  bool evict_prefixes(const Shortage& shortage);
  bool leave_to_prefixes(Request& request);
  void keep_released();
  void leave_prefixes(impl::PrefixUse& use) noexcept;
  void end_prefix_use(impl::PrefixUse& use) noexcept;
  // impl/decoder_planning.hpp: the plan of a pass, and the settings of its outputs
  void need_no_plan() const;
  void strike_ended() noexcept;
  DecoderPlan plan_shares();
  bool has_share() const noexcept;
  const StepPlan* plan_those_left(Shortage& shortage, Transaction& transaction, std::vector<std::size_t>& lost);
  const StepPlan* plan_step(Shortage& shortage);
  const StepPlan* plan_step(Shortage& shortage, bool& has_drafts);
  bool build_step(Step& step, bool with_drafts);
  void assign_outputs(const StepPlan& plan);
  void add_settings(const OutputOwner& owner);
  static std::vector<TokenId>& array_of(std::vector<std::vector<TokenId>>& arrays, std::size_t output);
  std::span<const TokenId> seen_by(const OutputOwner& owner, std::vector<TokenId>& buffer) const;
  void show_seen(std::size_t output);
  void end_oversized(Transaction& transaction);
  bool end_starved(Transaction& transaction, std::size_t& n_checked);
  std::int32_t n_pages_needed_alone(Request& request);
  std::int32_t n_pages_used(const Request& request) const;
  // impl/decoder_drafts.hpp: tokens that are fed before they are sampled
  bool may_draft() const noexcept { return draft_source_ != nullptr || (MarkupWithDraft<M> && options().draft); }
  bool may_draft(const Request& request) const noexcept;
  bool add_drafts(impl::StepBuilder<State, Cache>& builder);
  std::int32_t propose(Request& request, BranchIndex index);
  void show_levels(Request& request, BranchIndex index);
  void reject_drafts(bool all);
  void accept_rounds(Request& request);
  bool take_drafts(Request& request, std::size_t n_taken);
  bool is_drafted(const BranchState& branch, std::size_t n_taken) const noexcept;
  // impl/decoder_commit.hpp: sampling, and the end of a pass
  void need_plan(const char* call) const;
  const Request& owner(std::size_t output) const { return *requests_[owners_[output].request]; }
  bool is_wanted(std::size_t output, const std::vector<SampledToken>& sampled) const;
  SampledToken sample(std::size_t output, std::span<const float> logits);
  SampledToken sample(std::span<const float> logits, const OutputSettings& settings, std::int32_t n_log_probabilities);
  std::string name_of(std::size_t output) const;
  std::span<const Event> accept(std::vector<SampledToken>& sampled);
  void keep_each(std::vector<SampledToken>& sampled);
  bool accept_round(Request& request);
  static void count_pass(Request& request) noexcept;
  void end_plan() noexcept;

  Cache* cache_;
  impl::RequestStateMachine<M, Text, Cache> machine_;
  S sampler_;
  typename Transaction::Requests requests_;  // ascending id
  std::vector<std::size_t> running_;         // ascending, in requests_: all that run, and some that have ended since
  std::size_t n_swept_ = 0;                  // of running_, when it was rid of those that had ended
  std::vector<std::size_t> planned_;         // ascending, of running_: those that the plan is to have rows of
  std::vector<SequenceId> abandoned_;        // trunks that nobody goes on with, to be dropped
  std::size_t n_released_ = 0;               // of requests_, to be forgotten
  PrefixSource* prefixes_ = nullptr;
  std::vector<RequestId> announced_;        // requests that will have more to share, and some that are over
  std::vector<Released> released_;          // in order
  typename Transaction::Requests retired_;  // their former states, while settings_ borrows from them
  std::uint64_t last_id_ = 0;
  std::optional<Step> step_;
  const StepPlan* plan_ = nullptr;
  std::vector<RequestPages> pages_;            // of the last plan: a shortage's
  std::vector<RequestPages> next_pages_;       // of the plan that is being made
  std::size_t in_building_ = kNoRequestIndex;  // the request whose operations are being put into the step
  std::int32_t n_created_ = 0;                 // sequences that the step built last creates
  std::vector<RequestShare> rows_;             // of the plan that was made last
  bool plans_drafts_ = false;                  // it may hold some
  RowCost pass_;                               // its size
  DraftSource* draft_source_ = nullptr;
  std::vector<DraftOffer> offers_;               // of the plan that is being made
  std::vector<DraftLevel> levels_;               // of the branch that drafts are proposed for
  std::vector<OutputOwner> owners_;              // [n_outputs] of the open plan
  std::vector<OutputSettings> settings_;         // [n_outputs]
  std::vector<std::vector<TokenId>> forbidden_;  // [n_outputs] with no_repeat_ngram, kept for their memory
  std::vector<std::vector<TokenId>> seen_;       // [n_outputs] that a host read, likewise
  std::vector<TokenId> scratch_seen_;            // of the output that is being sampled
  std::vector<float> converted_;                 // a row of logits that were no float32
  std::vector<float> scratch_;                   // logits that a hook may change
  std::vector<Event> delivered_;
};

template <class Cache, class M, class Text, class S = Sampler>
Decoder(Cache&, M, Text, DecoderOptions = {}, S = {})
    -> Decoder<typename impl::NamedMarkup<M>::Type, typename impl::NamedDetokenizer<Text>::Type,
               typename impl::NamedSampler<S>::Type, typename impl::NamedCache<Cache>::Type>;

}  // namespace anabranch

#include <anabranch/decode/impl/decoder_commit.hpp>
#include <anabranch/decode/impl/decoder_drafts.hpp>
#include <anabranch/decode/impl/decoder_planning.hpp>
#include <anabranch/decode/impl/decoder_prefixes.hpp>
#include <anabranch/decode/impl/decoder_requests.hpp>
